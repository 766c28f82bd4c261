"""Short versions of the reproductions, against a server of their own, and the same rounds computed in this process."""

import copy
import io
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from fl_server_client import Round
from rich.console import Console

from examples import reproduce_feddc, reproduce_fedprox
from examples.synthetic import feddc_problem, fedprox_problem
from examples.training import Classifier

pytestmark = [pytest.mark.timeout(600), pytest.mark.once]


def average_rounds(
    module: torch.nn.Module, learners: Sequence[Classifier], method: str, options: dict[str, Any], rounds: int
) -> list[torch.nn.Module]:
    """The global model after each round: everyone trains a copy, the weighted mean is the next one."""
    total = sum(one.sample_size for one in learners)
    models = []
    for number in range(rounds):
        states = []
        for one in learners:
            local = copy.deepcopy(module)
            start = tuple(parameter.detach().clone() for parameter in module.parameters())
            one.train(local, Round(number, "t", method, {"options": options}, start), options)
            states.append((one.sample_size / total, local.state_dict()))
        module = copy.deepcopy(module)
        module.load_state_dict({name: sum(w * state[name] for w, state in states) for name in module.state_dict()})
        models.append(module)
    return models


def test_fedprox_over_http_gives_the_losses_of_the_same_rounds_in_one_process() -> None:
    arguments = reproduce_fedprox.parse_arguments(["--short"])
    result = reproduce_fedprox.compare(Console(file=io.StringIO()), arguments)
    learners = fedprox_problem(6, seed=0)
    inputs, targets = torch.cat([one.inputs for one in learners]), torch.cat([one.targets for one in learners])
    assert list(result) == [1.0, 0.0]
    for mu, losses in result.items():
        options = {"mu": mu, "epochs": 2, "lr": 0.01, "batch_size": 10, "momentum": 0.0}
        models = average_rounds(reproduce_fedprox.build_model(), learners, "FedProx", options, 3)
        with torch.no_grad():
            expected = [float(torch.nn.functional.cross_entropy(model(inputs), targets)) for model in models]
        assert list(losses) == [1, 2, 3]
        assert list(losses.values()) == pytest.approx(expected, abs=1e-4)
    assert result[1.0] != result[0.0]


def test_feddc_over_http_averages_every_period_and_plain_averaging_is_that_of_one_process() -> None:
    arguments = reproduce_feddc.parse_arguments(["--short"])
    result = reproduce_feddc.compare(Console(file=io.StringIO()), arguments)
    learners, test = feddc_problem(10, 10)
    daisy_chained, averaged = result.values()
    options = reproduce_feddc.STEP | {"epochs": 10}
    models = average_rounds(reproduce_feddc.build_model(), learners, "FedAvg", options, 2)
    expected = {10 * (n + 1): reproduce_feddc.accuracy(model, *test) for n, model in enumerate(models)}
    # Rounds may be faster than the follower looks; the last average is always seen.
    assert {20} <= set(averaged) <= {10, 20}
    assert {20} <= set(daisy_chained) <= {10, 20}
    # A sample of the 400 that lies on the border may fall to either side.
    assert averaged == pytest.approx({number: expected[number] for number in averaged}, abs=0.0026)
    assert min(daisy_chained.values()) > 0.55
