"""What may stand in a training's options, and the sentences about what may not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from pydantic import Field

from fl_server_ai.aggregation import Aggregation
from fl_server_core.options import TrainerOptions, validate_options
from fl_server_core.registry import aggregation_methods
from fl_server_core.schema import OptionsSchema, UncertaintyOptions, problems, wanted


class StrangeOptions(OptionsSchema):
    word: str = "a"
    both: int | str = 1
    least: int = Field(1, ge=1)
    share: float = Field(0.5, ge=0, lt=1)
    inner: UncertaintyOptions = UncertaintyOptions()


class Strange(Aggregation):
    name = "Strange"
    title = "Strange"
    paper = "none"
    Options = StrangeOptions


@pytest.fixture
def strange() -> Iterator[None]:
    aggregation_methods.register(Strange)
    yield
    aggregation_methods.pop("Strange", None)


def sentences(options: Any, aggregation: str = "FedAvg", uncertainty: str = "NONE") -> list[str]:
    with pytest.raises(ValidationError) as caught:
        validate_options(options, aggregation, uncertainty)
    return list(caught.value.messages)


def test_nothing_has_to_be_given() -> None:
    known = TrainerOptions.from_dict({})
    assert known == TrainerOptions()
    assert known.model_dump() == {
        "skip_model_tests": False,
        "model_test_after_each_round": True,
        "delete_local_models_after_aggregation": True,
        "daisy_chain_period": 1,
        "round_deadline": None,
        "min_updates": None,
        "keep_versions": None,
    }


def test_what_is_given_is_read_and_other_keys_are_left_alone() -> None:
    given = {"skip_model_tests": True, "round_deadline": 60, "min_updates": 0.5, "keep_versions": 3, "mu": "any"}
    known = validate_options(given | {"aggregation": {"mine": []}, "uncertainty": {"N": 5, "x": 1}}, "FedAvg", "SWAG")
    assert (known.skip_model_tests, known.round_deadline, known.min_updates, known.keep_versions) == (True, 60, 0.5, 3)


def each(path: str, wanted: str, *values: object) -> list[tuple[dict[str, Any], str]]:
    """Options with each of the values at the path, and the sentence about it."""
    outer, _, inner = path.rpartition(".")
    options: list[dict[str, Any]] = [{outer: {inner: value}} if outer else {inner: value} for value in values]
    return [(given, f"{path} must be {wanted}.") for given in options]


BAD = [
    *each("skip_model_tests", "true or false", "yes", 1, None),
    *each("model_test_after_each_round", "true or false", "yes", 0, None),
    *each("delete_local_models_after_aggregation", "true or false", "yes", [], None),
    *each("daisy_chain_period", "a whole number from 1 to 1000000", 0, True, 1.0, "2", None, 10**400),
    *each("round_deadline", "a number above 0 and at most 31622400", 0, True, "2", math.nan, math.inf, 10**400, []),
    ({"round_deadline": 1, "min_updates": 0}, "min_updates must be a number above 0 and at most 1000000000."),
    ({"round_deadline": 1, "min_updates": 1.5}, "min_updates must be a fraction below 1 or a whole number."),
    ({"min_updates": 2}, "min_updates needs a round_deadline."),
    *each("keep_versions", "a whole number from 2 to 1000000", 1, True, 2.0, "2"),
    *each("uncertainty", "an object", 1, [], "N"),
    *each("uncertainty.N", "a whole number from 1 to 1000", 0, 1001, True, "5", None),
    *each("uncertainty.softmax", "true or false", 1, "true", None),
    *each("uncertainty.scale", "a number above 0 and at most 1000000", 0, -1, True, "1", 1e7),
    *each("aggregation", "an object", 1, [], "trim", False),
]


@pytest.mark.parametrize(("options", "sentence"), BAD, ids=lambda value: str(value)[:60])
def test_a_value_that_cannot_be_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    assert sentences(options) == [sentence]


def test_there_is_a_sentence_for_each_key() -> None:
    options = {
        "keep_versions": 0,
        "skip_model_tests": 0,
        "uncertainty": {"N": 0, "scale": 0},
        "aggregation": {"trim": 1},
    }
    assert sentences(options, "TrimmedMean") == [
        "skip_model_tests must be true or false.",
        "keep_versions must be a whole number from 2 to 1000000.",
        "aggregation.trim must be a number of at least 0 and below 0.5.",
        "uncertainty.N must be a whole number from 1 to 1000.",
        "uncertainty.scale must be a number above 0 and at most 1000000.",
    ]


def test_options_of_another_method_are_kept_and_left_alone() -> None:
    validate_options({"aggregation": {"trim": 1}}, "Median", "NONE")
    validate_options({"aggregation": None, "uncertainty": None}, "TrimmedMean", "NONE")
    assert sentences({"aggregation": {"trim": 1}}, "TrimmedMean") != []


@pytest.mark.parametrize("method", ["NONE", "ENSEMBLE", "MC_DROPOUT", "SWAG"])
def test_options_of_uncertainty_are_validated_whatever_the_method(method: str) -> None:
    assert sentences({"uncertainty": {"N": 0}}, uncertainty=method) == [
        "uncertainty.N must be a whole number from 1 to 1000."
    ]


def test_no_scale_is_the_usual_one() -> None:
    assert UncertaintyOptions.model_validate({"scale": None}).scale == 1


def test_types_of_other_packages_have_sentences_too(strange: None) -> None:
    given = {"word": 1, "both": [], "least": 0, "share": 1, "inner": 3}
    assert sentences({"aggregation": given}, "Strange") == [
        "aggregation.word: Input should be a valid string.",
        "aggregation.both: Input should be a valid integer.",
        "aggregation.least must be a whole number of at least 1.",
        "aggregation.share must be a number of at least 0 and below 1.",
        "aggregation.inner must be an object.",
    ]
    assert wanted(StrangeOptions.model_fields["word"]) == ""
    assert problems(StrangeOptions, {}) == {}


def test_what_was_written_past_validation_is_as_if_not_given() -> None:
    known = TrainerOptions.tolerant({"round_deadline": 9, "min_updates": "x", "keep_versions": 0, "a": 1})
    assert known == TrainerOptions(round_deadline=9)
    nothing: list[object] = [None, [], "x", 3]
    assert [TrainerOptions.tolerant(value) for value in nothing] == [TrainerOptions()] * 4


@pytest.mark.parametrize(
    ("min_updates", "participants", "needed"),
    [(None, 7, 7), (3, 7, 3), (0.5, 7, 4), (0.07, 100, 7), (0.001, 5, 1), (1, 5, 1), (9, 5, 9)],
)
def test_so_many_submissions_suffice_at_the_deadline(min_updates: float | None, participants: int, needed: int) -> None:
    options = TrainerOptions.tolerant({"round_deadline": 1, "min_updates": min_updates})
    assert options.submissions_needed(participants) == needed


def test_options_of_more_than_64_kilobytes_are_refused_with_their_size() -> None:
    validate_options({"note": "x" * (64 * 1024 - 12)}, "FedAvg", "NONE")
    with pytest.raises(ValidationError, match="The options take 65537 bytes as JSON; 65536 are allowed"):
        validate_options({"note": "x" * (64 * 1024 - 11)}, "FedAvg", "NONE")
