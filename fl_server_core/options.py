"""What an actor may set in a training's `options`. Known keys are validated, unknown ones kept and left alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Self

from django.core.exceptions import ValidationError
from pydantic import BaseModel, Field
from pydantic import ValidationError as InvalidOptions

from fl_server_core.registry import Method, aggregation_methods, uncertainty_methods
from fl_server_core.schema import AggregationOptions, OptionsSchema, UncertaintyOptions, problems, tolerant

LEAST_KEPT = 2
"""Versions: the current one and the one before it, which somebody may be about to read."""
MAX_DEADLINE_SECONDS = 366 * 24 * 3600
MAX_PERIOD = 1_000_000
MAX_OPTIONS_BYTES = 64 * 1024


class TrainerOptions(OptionsSchema):
    """The options that steer a training's rounds.

    round_deadline: seconds from the start of each round; None: wait for ever.
    min_updates: how many submissions suffice at the deadline; below 1 a fraction of the participants; None: all.
    keep_versions: how many of the model's versions are kept; None: what the server keeps by default.
    """

    skip_model_tests: bool = False
    model_test_after_each_round: bool = True
    delete_local_models_after_aggregation: bool = True
    daisy_chain_period: int = Field(default=1, ge=1, le=MAX_PERIOD)
    round_deadline: float | None = Field(default=None, gt=0, le=MAX_DEADLINE_SECONDS)
    min_updates: float | None = Field(default=None, gt=0, le=10**9)
    keep_versions: int | None = Field(default=None, ge=LEAST_KEPT, le=10**6)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Read options.

        Raises:
            ValidationError: one sentence for each known key that has a value it cannot have.
        """
        errors = list(problems(cls, options).values())
        known = cls.tolerant(options)
        errors += known._contradictions()
        if errors:
            raise ValidationError(errors)
        return known

    @classmethod
    def tolerant(cls, options: object) -> Self:
        """Read options that may have been written past validation: a value that cannot be is as if not given."""
        try:
            return cls.model_validate(options)
        except InvalidOptions:
            return cls.model_validate(tolerant(cls, options))

    def _contradictions(self) -> list[str]:
        found = []
        if self.min_updates is not None and self.round_deadline is None:
            found.append("min_updates needs a round_deadline.")
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


def validate_options(options: Mapping[str, Any], aggregation_method: str, uncertainty_method: str) -> TrainerOptions:
    """Check the options of a training with these methods, and read those that steer its rounds.

    Raises:
        ValidationError: one sentence for each known key that has a value it cannot have, or that they are too large.
    """
    size = len(json.dumps(options, default=str))
    if size > MAX_OPTIONS_BYTES:
        raise ValidationError(f"The options take {size} bytes as JSON; {MAX_OPTIONS_BYTES} are allowed.")
    errors: list[str] = []
    try:
        known = TrainerOptions.from_dict(options)
    except ValidationError as error:
        errors += error.messages
    errors += _problems_of_part("aggregation", AggregationOptions, aggregation_methods.get(aggregation_method), options)
    errors += _problems_of_part("uncertainty", UncertaintyOptions, uncertainty_methods.get(uncertainty_method), options)
    if errors:
        raise ValidationError(errors)
    return known


def _problems_of_part(
    part: str, common: type[BaseModel], method: type[Method] | None, options: Mapping[str, Any]
) -> list[str]:
    """Of `options.aggregation` or `options.uncertainty`: what is valid whatever the method, and the method's own."""
    given = options.get(part)
    general = list(problems(common, given, f"{part}.").values())
    own = problems(method.Options if method else OptionsSchema, given, f"{part}.").values()
    return general + [sentence for sentence in own if sentence not in general]
