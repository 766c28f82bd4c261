"""MC dropout: what is active, and that one batched pass draws from the same distribution as many."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fl_server_ai.uncertainty import MCDropout
from fl_server_ai.uncertainty.base import Subject
from fl_server_ai.uncertainty.batching import repeated_pass
from fl_server_ai.uncertainty.mc_dropout import has_dropout
from fl_server_core.schema import UncertaintyOptions
from tests.ai.uncertainty.options import many
from tests.builders.files import script

N = 4000


def dropout_of_ones(inplace: bool = False) -> nn.Module:
    """Sums five inputs after dropout with p = 1/2: 2 · Binomial(5, 1/2) for ones."""
    total = nn.Linear(5, 1, bias=False)
    nn.init.ones_(total.weight)
    return nn.Sequential(nn.Dropout(0.5, inplace), total).eval()


class Unknown(nn.Module):
    """Somebody's own forward around the same layers."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.inner(x))


class NetWithDropout(nn.Module):
    """Its name says dropout; inside there is a normalisation, too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.dropout(self.norm(x)))


class DropsByFunction(nn.Module):
    """Dropout without a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def drop(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(x, 0.5, self.training)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(torch.as_tensor(self.norm(x)))


class NormalisesByFunction(nn.Module):
    """The same flag for dropout and for the statistics of a batch: nothing can be switched alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, spread = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
        normal = nn.functional.batch_norm(x, mean, spread, training=self.training)
        return nn.functional.dropout(normal, 0.5, self.training)


class NormalisingDropout(NormalisesByFunction):
    """The same under a name that promises dropout."""


class Inherits(DropsByFunction):
    """Its code is its base class's."""


class DropsTwice(nn.Module):
    """A function and a layer of the same name."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.dropout(x), 0.5, self.training)


class Attends(nn.Module):
    """Dropout inside the attention function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        share = 0.5 if self.training else 0.0
        return nn.functional.scaled_dot_product_attention(x, x, x, dropout_p=share)


class DropoutWithAuxiliaryOutput(nn.Module):
    """The flag is for something else; dropout is a layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.block = NetWithDropout()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        dropped = torch.as_tensor(self.block.dropout(x))
        if self.training:
            return torch.zeros_like(x)
        return dropped


class OneMaskForAll(nn.Module):
    """A dropout whose mask is the same for every row of a batch: N rows of one pass would be one sample."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mul(x, self.dropout(torch.ones_like(x[:1])))


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("wrap", [lambda model: model, Unknown, script], ids=["batched", "loop", "scripted"])
def test_samples_are_those_of_independent_dropout(wrap: type[Unknown], inplace: bool) -> None:
    torch.manual_seed(11)
    subject = Subject([wrap(dropout_of_ones(inplace))])
    _, said = MCDropout.predict(torch.ones(2, 5), subject, many(N))
    samples = MCDropout.samples(torch.ones(2, 5), subject, many(N)).squeeze(-1)
    assert samples.shape == (N, 2)
    # Mean 2 · 5 · 1/2, variance 4 · 5 · 1/4; six standard errors.
    assert samples.mean(0).tolist() == pytest.approx([5.0, 5.0], abs=6 * (5 / N) ** 0.5)
    assert said["variance"] is not None
    assert said["variance"].flatten().tolist() == pytest.approx([5.0, 5.0], rel=6 * (2 / N) ** 0.5)
    # The two rows have masks of their own, and so have samples that follow each other.
    assert abs(torch.corrcoef(samples.T)[0, 1]) < 6 / N**0.5
    following = torch.stack([samples[:-1, 0], samples[1:, 0]])
    assert abs(torch.corrcoef(following)[0, 1]) < 6 / N**0.5


def test_torchs_own_layers_in_a_chain_are_asked_in_one_pass() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout2d(), nn.Flatten(), nn.Linear(8, 2)
    )
    output = repeated_pass(model.eval(), torch.rand(3, 1, 4, 4), 5)
    assert output is not None
    assert output.shape == (5, 3, 2)


def test_row_by_row_the_one_pass_says_what_single_passes_say() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2), nn.Softmax(dim=-1)
    ).eval()
    rows = torch.rand(3, 1, 4, 4)
    output = repeated_pass(model, rows, 2)
    assert output is not None
    torch.testing.assert_close(output, torch.stack([model(rows)] * 2))


@pytest.mark.parametrize(
    "model",
    [
        OneMaskForAll(),
        nn.Sequential(nn.Linear(5, 5), OneMaskForAll()),
        nn.Sequential(nn.BatchNorm1d(5, track_running_stats=False)),
        nn.Sequential(nn.Softmax(dim=0)),
        nn.Sequential(nn.Flatten(0)),
        script(nn.Sequential(nn.Dropout())),
    ],
    ids=["own code", "own code inside", "batch statistics", "softmax over rows", "flattened rows", "scripted"],
)
def test_a_model_whose_rows_may_meet_is_not_asked_in_one_pass(model: nn.Module) -> None:
    assert repeated_pass(model.eval(), torch.rand(2, 5), 3) is None


def test_a_model_with_a_hook_is_not_asked_in_one_pass() -> None:
    model = nn.Sequential(nn.Linear(5, 5))
    model[0].register_forward_hook(lambda module, given, output: output - output.mean(0))
    assert repeated_pass(model, torch.rand(2, 5), 3) is None


def test_input_without_a_batch_is_asked_one_by_one() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Dropout(0.5))
    assert MCDropout.samples(torch.rand(2, 4, 4), Subject([model.eval()]), UncertaintyOptions(N=6)).shape == (
        6,
        3,
        4,
        4,
    )


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
def test_only_dropout_is_active_and_only_meanwhile(wrap: type[Unknown]) -> None:
    model = wrap(nn.Sequential(nn.BatchNorm1d(5), nn.Dropout(0.5))).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    MCDropout.predict(torch.rand(4, 5), Subject([model]), UncertaintyOptions())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
@pytest.mark.parametrize("module", [NetWithDropout, DropsByFunction])
def test_normalisation_beside_dropout_stays_as_it_is(module: type[nn.Module], wrap: type[Unknown]) -> None:
    torch.manual_seed(3)
    model = wrap(module()).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mean, said = MCDropout.predict(torch.ones(1, 5), Subject([model]), many(N))
    # An untrained normalisation passes on what it gets: 2 · Bernoulli(1/2) of ones.
    assert mean.flatten().tolist() == pytest.approx([1.0] * 5, abs=6 / N**0.5)
    assert said["variance"] is not None
    assert said["variance"].flatten().tolist() == pytest.approx([1.0] * 5, abs=0.02)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(inside.training for inside in model.modules())


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_transformers_drop_too(batch_first: bool, wrap: type[Unknown]) -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=batch_first)
    # A stack never uses nested tensors here: torch warns where it might have.
    stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    for module in (layer, stack):
        _, said = MCDropout.predict(torch.rand(2, 3, 4), Subject([wrap(module).eval()]), UncertaintyOptions(N=200))
        assert said["variance"] is not None
        assert float(said["variance"].min()) > 1e-3


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (DropsByFunction, True),
        (Inherits, True),
        (DropsTwice, True),
        (Attends, True),
        (NormalisesByFunction, False),
        (NormalisingDropout, False),
        (DropoutWithAuxiliaryOutput, False),
    ],
)
def test_the_flag_is_switched_where_it_is_dropouts_and_nothing_elses(
    module: type[nn.Module], expected: bool, wrap: type[Unknown]
) -> None:
    assert has_dropout(wrap(module())) is expected


def test_dropout_inside_recurrent_and_attention_layers_is_found() -> None:
    assert has_dropout(nn.LSTM(2, 2, num_layers=2, dropout=0.5))
    assert has_dropout(nn.MultiheadAttention(2, 1))
    assert not has_dropout(nn.BatchNorm1d(2))
    assert has_dropout(script(nn.Dropout2d()))


def test_a_dropout_that_raises_leaves_the_model_in_evaluation_mode() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(5, 1)).eval()
    with pytest.raises(RuntimeError):
        MCDropout.predict(torch.ones(2, 3), Subject([model]), UncertaintyOptions())
    assert not model[0].training
