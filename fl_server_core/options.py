"""What an actor may set in a training's `options`. Known keys are validated, unknown ones kept and left alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from django.core.exceptions import ValidationError

MAX_SAMPLES = 1000
MAX_DEADLINE_SECONDS = 366 * 24 * 3600
MAX_PERIOD = 1_000_000
LEAST_KEPT = 2
"""The current version and the one before it, which somebody may be about to read."""

Default = TypeVar("Default", int, None)


@dataclass(frozen=True)
class TrainerOptions:
    """The options that steer a training's rounds.

    round_deadline: seconds from the start of each round; None: wait for ever.
    min_updates: how many submissions suffice at the deadline; below 1 a fraction of the participants; None: all.
    keep_versions: how many of the model's newest versions are kept; None: as many as the server's setting says.
    uncertainty_samples, uncertainty_softmax, uncertainty_scale: options.uncertainty.{N, softmax, scale}.
    """

    skip_model_tests: bool = False
    model_test_after_each_round: bool = True
    delete_local_models_after_aggregation: bool = True
    daisy_chain_period: int = 1
    round_deadline: float | None = None
    min_updates: float | None = None
    keep_versions: int | None = None
    uncertainty_samples: int = 10
    uncertainty_softmax: bool = False
    uncertainty_scale: float = 1.0

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Read options.

        Raises:
            ValidationError: one sentence for each known key that has a value it cannot have.
        """
        known, errors = cls._read(options)
        if errors:
            raise ValidationError(errors)
        return known

    @classmethod
    def tolerant(cls, options: object) -> Self:
        """Read options that may have been written past validation: a value that cannot be is as if not given."""
        known, _errors = cls._read(options if isinstance(options, dict) else {})
        return known

    @classmethod
    def _read(cls, options: Mapping[str, Any]) -> tuple[Self, list[str]]:
        reader = _Reader(options)
        uncertainty = _Reader(reader.mapping("uncertainty"), "uncertainty.")
        known = cls(
            skip_model_tests=reader.flag("skip_model_tests", False),
            model_test_after_each_round=reader.flag("model_test_after_each_round", True),
            delete_local_models_after_aggregation=reader.flag("delete_local_models_after_aggregation", True),
            daisy_chain_period=reader.integer("daisy_chain_period", 1, highest=MAX_PERIOD),
            round_deadline=reader.positive("round_deadline", None, highest=MAX_DEADLINE_SECONDS),
            min_updates=reader.positive("min_updates", None, highest=10**9),
            keep_versions=reader.integer("keep_versions", None, least=LEAST_KEPT, highest=10**6),
            uncertainty_samples=uncertainty.integer("N", 10, highest=MAX_SAMPLES),
            uncertainty_softmax=uncertainty.flag("softmax", False),
            uncertainty_scale=uncertainty.positive("scale", 1.0, highest=1e6) or 1.0,
        )
        return known, reader.errors + uncertainty.errors + known._contradictions()

    def _contradictions(self) -> list[str]:
        found = []
        if self.min_updates is not None and self.round_deadline is None:
            found.append("min_updates needs a round_deadline, the time at which so many suffice.")
        if self.min_updates is not None and self.min_updates > 1 and self.min_updates != int(self.min_updates):
            found.append("min_updates must be a fraction below 1 or a whole number.")
        return found

    def submissions_needed(self, participants: int) -> int:
        """How many submissions suffice at the deadline, of so many participants."""
        if self.min_updates is None:
            return participants
        if self.min_updates < 1:
            # 0.07 · 100 is 7.000000000000001: do not round that up to 8.
            return max(1, math.ceil(round(self.min_updates * participants, 9)))
        return int(self.min_updates)


class _Reader:
    """Reads one mapping key by key and gathers what is wrong with it."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self.values = values
        self.prefix = prefix
        self.errors: list[str] = []

    def _refuse(self, key: str, wanted: str) -> None:
        self.errors.append(f"{self.prefix}{key} must be {wanted}.")

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.values.get(key)
        if value is not None and not isinstance(value, dict):
            self._refuse(key, "an object")
        return value if isinstance(value, dict) else {}

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self._refuse(key, "true or false")
            return default
        return value

    def integer(self, key: str, default: Default, *, least: int = 1, highest: int) -> int | Default:
        value = self.values.get(key, default)
        if value is None and default is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= highest:
            self._refuse(key, f"a whole number from {least} to {highest}")
            return default
        return value

    def positive(self, key: str, default: float | None, *, highest: float) -> float | None:
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= highest:
            self._refuse(key, f"a number above 0 and at most {highest:g}")
            return default
        return float(value)
