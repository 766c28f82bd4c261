"""The demo's report: accuracy, compared with each participant alone, and the quality of the uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from fl_server_client import Actor
from fl_server_client.model_files import load_model
from rich.console import Console
from rich.table import Table

from examples.digits import Floats, Samples, noise, upside_down
from examples.measures import auroc, expected_calibration_error, predictive_entropy, softmax
from examples.training import Hyperparameters, train


@dataclass(frozen=True)
class Verdict:
    """How accurate the final model is on held-out digits, and how well its uncertainty detects foreign images."""

    accuracy: float
    score: str
    auroc_noise: float
    auroc_upside_down: float
    calibration_error: float


def accuracy_of(module: torch.nn.Module, samples: Samples) -> float:
    """The fraction of samples that a model classifies correctly."""
    return float((_logits(module, samples.x).argmax(axis=1) == samples.y).mean())


def accuracy_alone(
    module: torch.nn.Module, share: Samples, held_out: Samples, hyperparameters: Hyperparameters, *, epochs: int
) -> float:
    """The held-out accuracy of one participant that trains the model on its own data only."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.from_numpy(share.x), torch.from_numpy(share.y)
    train(module, inputs, targets, hyperparameters, epochs=epochs, generator=generator)
    return accuracy_of(module, held_out)


def judge(actor: Actor, model_id: str, held_out: Samples, generator: np.random.Generator) -> Verdict:
    """Evaluate inferences for held-out digits, the same digits upside-down, and noise.

    With an uncertainty method, this uses the server's figures. Without one, the server returns classes only, so this
    computes the probabilities with the downloaded model.
    """
    foreign = (noise(len(held_out), generator), upside_down(held_out.x))
    answer = actor.predict(model_id, np.round(held_out.x, 4))
    inference, uncertainty = answer.output, answer.uncertainty
    if uncertainty:
        probabilities = np.array(inference)
        classes = probabilities.argmax(axis=1)
        name, known = _score(uncertainty)
        scores = [_score(actor.predict(model_id, np.round(images, 4)).uncertainty)[1] for images in foreign]
    else:
        module = load_model(actor.download(model_id))
        probabilities, classes = softmax(_logits(module, held_out.x)), np.array(inference)
        name, known = "entropy of softmax", predictive_entropy(probabilities)
        scores = [predictive_entropy(softmax(_logits(module, images))) for images in foreign]
    return Verdict(
        accuracy=float((classes == held_out.y).mean()),
        score=name,
        auroc_noise=auroc(known, scores[0]),
        auroc_upside_down=auroc(known, scores[1]),
        calibration_error=expected_calibration_error(probabilities, held_out.y),
    )


def print_accuracies(console: Console, together: float, alone: Sequence[float], sizes: Sequence[int]) -> None:
    """The accuracy of all participants together and of each alone, after the same number of local epochs."""
    table = Table(title="Accuracy on held-out digits")
    for heading in ("trained on", "digits", "accuracy"):
        table.add_column(heading, justify="left" if heading == "trained on" else "right")
    table.add_row("[bold]all, federated", str(sum(sizes)), f"[bold]{together:.3f}")
    for number, (accuracy, size) in enumerate(zip(alone, sizes, strict=True), start=1):
        table.add_row(f"participant {number} alone", str(size), f"{accuracy:.3f}")
    console.print(table)


def print_uncertainty(console: Console, method: str, verdict: Verdict) -> None:
    """How well the uncertainty detects foreign images, and how well confidence matches accuracy."""
    table = Table(title=f"Uncertainty: {method}, by {verdict.score}")
    table.add_column("measure")
    table.add_column("figure", justify="right")
    table.add_row("digits against noise, AUROC (0.5: chance, 1: perfect)", f"{verdict.auroc_noise:.3f}")
    table.add_row(
        "digits against upside-down digits, AUROC (0, 1, 8 hardly change)", f"{verdict.auroc_upside_down:.3f}"
    )
    table.add_row(
        "expected calibration error on digits (0: confidence equals accuracy)", f"{verdict.calibration_error:.3f}"
    )
    console.print(table)


def _logits(module: torch.nn.Module, images: Floats) -> npt.NDArray[np.float32]:
    module.eval()
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(images)).numpy())


def _score(uncertainty: dict[str, Any]) -> tuple[str, npt.NDArray[np.float64]]:
    """One value per image: the predictive entropy, or the total variance where only that is given."""
    if "predictive_entropy" in uncertainty:
        return "predictive entropy", np.array(uncertainty["predictive_entropy"], dtype=np.float64)
    return "total variance", np.array(uncertainty["variance"], dtype=np.float64).sum(axis=1)
