"""A participant whose updates are differentially private: DP-SGD by Opacus.

    pip install opacus
    export FL_PASSWORD=…
    .venv/bin/fl participant run examples.private_participant:Digits --server http://127.0.0.1:8000 --username anna

Each sample's gradient is clipped to the norm MAX_GRAD_NORM, and Gaussian noise is added to their sum (Abadi et al.
2016, "Deep Learning with Differential Privacy"). After each round it logs the epsilon that was spent so far: over all
rounds of a training that this process has taken part in, and for this participant's own samples. Whoever sees its
updates, the server included, learns at most so much of any one sample. What it reports of tests is not private.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fl_server_client import Participant, Round
from fl_server_client.torch_participant import accuracy
from opacus import GradSampleModule
from opacus.accountants import RDPAccountant
from opacus.data_loader import DPDataLoader
from opacus.optimizers import DPOptimizer
from opacus.validators import ModuleValidator
from torch.utils.data import DataLoader, TensorDataset

from fl_server_demo.digits import hold_out, load_samples

logger = logging.getLogger(__name__)
NOISE_MULTIPLIER = 1.1
MAX_GRAD_NORM = 1.0
DELTA = 1e-5
BATCH_SIZE = 64
LEARNING_RATE = 0.2


class PrivateParticipant(Participant):
    """Trains a pickled module of torch's own layers with DP-SGD, one epoch a round."""

    def __init__(self, data: TensorDataset, test_data: TensorDataset) -> None:
        # Each batch takes each sample with the same probability: the accountant relies on it.
        self.loader = DPDataLoader.from_data_loader(DataLoader(data, batch_size=min(BATCH_SIZE, len(data))))
        self.data, self.test_data = data, test_data
        self.spent: dict[str, RDPAccountant] = {}

    def train(self, model: torch.nn.Module, round: Round, options: Mapping[str, Any]) -> int:  # noqa: A002, ARG002
        """One epoch. Refuses models with layers that mix samples, such as batch normalisation."""
        if problems := ModuleValidator.validate(model, strict=False):
            raise ValueError(f"This model can't be trained privately: {problems[0]}")
        private = GradSampleModule(model.train())
        optimizer = DPOptimizer(
            torch.optim.SGD(model.parameters(), lr=LEARNING_RATE),
            noise_multiplier=NOISE_MULTIPLIER,
            max_grad_norm=MAX_GRAD_NORM,
            expected_batch_size=int(len(self.data) * self.loader.sample_rate),
        )
        accountant = self.spent.setdefault(round.training, RDPAccountant())
        try:
            for inputs, targets in self.loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(private(inputs), targets).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                accountant.step(noise_multiplier=NOISE_MULTIPLIER, sample_rate=self.loader.sample_rate)
        finally:
            private.to_standard_module()  # takes its hooks off the model, which are not part of the update
        logger.info("training %s: epsilon %.2f at delta %g", round.training, self.epsilon(round.training), DELTA)
        return len(self.data)

    def epsilon(self, training: str) -> float:
        """What the updates of a training have revealed so far, at DELTA."""
        return float(self.spent[training].get_epsilon(DELTA))

    def evaluate(self, model: torch.nn.Module) -> dict[str, float]:
        """The accuracy on the test data."""
        model.eval()
        inputs, targets = self.test_data.tensors
        with torch.no_grad():
            return {"accuracy": float(accuracy(model(inputs), targets))}


class Digits(PrivateParticipant):
    """One with the handwritten digits, six sevenths of them to train on."""

    def __init__(self) -> None:
        train, test = hold_out(load_samples(), 1 / 7, np.random.default_rng(7))
        super().__init__(*(TensorDataset(torch.from_numpy(one.x), torch.from_numpy(one.y)) for one in (train, test)))
