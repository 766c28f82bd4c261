"""The demonstration's data: what is held out, who gets which digits."""

import sys
from pathlib import Path

import numpy as np
import pytest

from examples import digits
from examples.digits import Samples, hold_out, load_samples, noise, save_share, split_by_dirichlet, upside_down
from examples.participant import load_classifier

pytestmark = pytest.mark.once


def deal(seed: int = 3, parts: int = 5, smallest: int = 10) -> list[np.ndarray]:
    labels = load_samples().y
    return split_by_dirichlet(labels, parts, alpha=0.5, generator=np.random.default_rng(seed), smallest=smallest)


def test_every_digit_goes_to_exactly_one_participant() -> None:
    assert sorted(np.concatenate(deal()).tolist()) == list(range(1797))


def test_the_same_seed_deals_the_same_digits() -> None:
    first, again, other = deal(3), deal(3), deal(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_shares_of_a_class_are_uneven() -> None:
    labels = load_samples().y
    counts = np.array([np.bincount(labels[share], minlength=10) for share in deal()])
    # Even shares would be a fifth of about 180 each; Dirichlet(0.5) leaves somebody with next to nothing of a class.
    assert (counts.min(axis=0) < 10).sum() >= 5
    assert (counts.max(axis=0) > 70).sum() >= 5


def test_everyone_gets_a_few_samples_even_of_a_very_uneven_split() -> None:
    labels = np.zeros(60, dtype=np.int64)
    shares = split_by_dirichlet(labels, 5, alpha=0.01, generator=np.random.default_rng(0))
    assert min(len(share) for share in shares) >= 10
    assert sorted(np.concatenate(shares).tolist()) == list(range(60))


def test_too_few_samples_for_so_many_participants_are_refused() -> None:
    with pytest.raises(ValueError, match="too few for 7 participants"):
        split_by_dirichlet(np.zeros(69, dtype=np.int64), 7, alpha=0.5, generator=np.random.default_rng(0))


def test_what_is_held_out_is_not_trained_on() -> None:
    samples = Samples(np.arange(50, dtype=np.float32).reshape(50, 1), np.arange(50))
    kept, held = hold_out(samples, 0.2, np.random.default_rng(1))
    assert (len(kept), len(held)) == (40, 10)
    assert sorted([*kept.y, *held.y]) == list(range(50))
    assert np.array_equal(held.x[:, 0], held.y)


def test_turning_an_image_upside_down_turns_it_by_half_a_circle() -> None:
    images = load_samples().x[:20]
    expected = np.rot90(images.reshape(20, 8, 8), 2, axes=(1, 2)).reshape(20, 64)
    assert np.array_equal(upside_down(images), expected)


def test_noise_fills_the_range_of_a_pixel_evenly() -> None:
    images = noise(500, np.random.default_rng(0))
    assert images.shape == (500, 64)
    assert 0 <= images.min() < 0.001 < 0.999 < images.max() <= 1
    # The mean of 32,000 uniform numbers has a standard error of 0.0016.
    assert abs(images.mean() - 0.5) < 0.01


def test_a_participant_reads_back_the_share_that_was_written_for_it(tmp_path: Path) -> None:
    share = load_samples()[np.arange(70)]
    train = save_share(tmp_path / "share.npz", share, np.random.default_rng(0))
    learner = load_classifier(str(tmp_path / "share.npz"), seed=1)
    assert learner.sample_size == len(train) == 60
    assert len(learner.test_inputs) == len(learner.test_targets) == 10
    assert np.array_equal(learner.inputs.numpy(), train.x)
    assert np.array_equal(learner.targets.numpy(), train.y)


def test_the_command_writes_data_files_that_participants_can_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(tmp_path / f"{name}.npz") for name in ("anna", "ben")]
    monkeypatch.setattr(sys, "argv", ["digits", *files])
    digits.main()
    sizes = []
    for path in files:
        learner = load_classifier(path, seed=0)
        with np.load(path) as data:
            assert data["x"].shape[1:] == data["test_x"].shape[1:] == (64,)
            sizes.append(len(data["x"]) + len(data["test_x"]))
            assert learner.sample_size == len(data["x"])
    assert sum(sizes) == 1797


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["anna.txt"], "anna.txt must end in .npz"),
        (["--alpha", "0", "anna.npz"], "--alpha must be above 0"),
        (["/dev/null/anna.npz"], "Can't write /dev/null/anna.npz: Not a directory."),
    ],
)
def test_what_the_command_cannot_use_is_named(
    arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["digits", *arguments])
    with pytest.raises(SystemExit) as ended:
        digits.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(sentence)
