"""Schemas of options, and plain sentences about values that do not fit. Knows no Django."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Self, Union, get_args, get_origin
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

MAX_SAMPLES = 1000
MAX_SAMPLE_SIZE = 2**63 - 1


class OptionsSchema(BaseModel):
    """The base of all options: strict (true is not 1, "1" not a number), and other keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class UncertaintyOptions(OptionsSchema):
    """`options.uncertainty`, valid whatever the method; a method with more options extends it.

    N: samples of an answer. softmax: whether outputs are made probabilities first. scale: the factor of SWAG's
    standard deviation.
    """

    N: int = Field(default=10, ge=1, le=MAX_SAMPLES)
    softmax: bool = False
    scale: Annotated[float, BeforeValidator(lambda value: 1.0 if value is None else value)] = Field(
        default=1.0, gt=0, le=1e6
    )

    @classmethod
    def from_training(cls, options: Mapping[str, Any]) -> Self:
        """The options of a training as its row holds them. The default stands in for what is missing or impossible."""
        return cls.model_validate(tolerant(cls, options.get("uncertainty")))


def _user_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError("the keys must be user ids.") from None


UserId = Annotated[str, AfterValidator(_user_id)]
SampleSize = Annotated[int, Field(ge=1, le=MAX_SAMPLE_SIZE)]


class AggregationOptions(OptionsSchema):
    """`options.aggregation`, valid whatever the method: what bounds the influence of an update.

    equal_weights: every update counts the same. sample_sizes: the most that each participant's updates count, by user
    id. sample_size_factor, clipping_factor: a bound as a multiple of the round's median. clipping_norm: the largest
    norm of an update's difference.
    """

    equal_weights: bool = False
    sample_sizes: dict[UserId, SampleSize] | None = Field(
        default=None,
        min_length=1,
        description=f"an object of user ids, each with a whole number from 1 to {MAX_SAMPLE_SIZE}",
    )
    sample_size_factor: float | None = Field(default=None, ge=1, le=1e6)
    clipping_norm: float | None = Field(default=None, gt=0, le=1e9)
    clipping_factor: float | None = Field(default=None, gt=0, le=1e6)

    @classmethod
    def from_training(cls, options: Mapping[str, Any]) -> Self:
        """The options of a training as its row holds them. The default stands in for what is missing or impossible."""
        return cls.model_validate(tolerant(cls, options.get("aggregation")))

    @property
    def is_clipping(self) -> bool:
        return self.clipping_norm is not None or self.clipping_factor is not None


def problems(schema: type[BaseModel], values: object, prefix: str = "") -> dict[str, str]:
    """One sentence for each key that has a value it cannot have, by the key ("" for what concerns several).

    `prefix` is the path of the values, as in "uncertainty." None stands for no values.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        return {"": f"{prefix.rstrip('.') or 'options'} must be an object."}
    try:
        schema.model_validate(values)
    except ValidationError as error:
        found: dict[str, str] = {}
        for detail in error.errors(include_url=False, include_context=False, include_input=False):
            key = str(detail["loc"][0]) if detail["loc"] else ""
            found.setdefault(key, _sentence(schema, key, detail["msg"], prefix))
        return found
    return {}


def tolerant(schema: type[BaseModel], values: object, prefix: str = "") -> dict[str, Any]:
    """The values without those that cannot be."""
    known = dict(values) if isinstance(values, Mapping) else {}
    while bad := problems(schema, known, prefix).keys() & known.keys():
        known = {key: value for key, value in known.items() if key not in bad}
    return known


def wanted(field: FieldInfo) -> str:
    """What a field takes, in words: "a whole number from 1 to 10".

    Where there are no words for its type, its description stands for them; without one they are empty.
    """
    bounds = {key: getattr(rule, key) for rule in field.metadata for key in _BOUNDS if hasattr(rule, key)}
    kind = _kind(field.annotation)
    if kind is bool:
        return "true or false"
    if kind is int and bounds.keys() == {"ge", "le"}:
        return f"a whole number from {bounds['ge']} to {bounds['le']}"
    noun = {int: "a whole number", float: "a number"}.get(kind)
    if noun is None:
        return "an object" if isinstance(kind, type) and issubclass(kind, BaseModel) else field.description or ""
    limits = [f"{words} {_plain(bounds[key])}" for key, words in _BOUNDS.items() if key in bounds]
    return f"{noun} {' and '.join(limits)}" if limits else noun


def _plain(number: float) -> str:
    """Without an exponent, where it is whole."""
    return str(int(number)) if number == int(number) else f"{number:g}"


_BOUNDS = {"gt": "above", "ge": "of at least", "lt": "below", "le": "at most"}


def _kind(annotation: object) -> Any:
    """The type that is asked for, None aside."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else None
    return annotation


def _sentence(schema: type[BaseModel], key: str, message: str, prefix: str) -> str:
    field = next((f for name, f in schema.model_fields.items() if key in (name, f.alias)), None)
    words = wanted(field) if field else ""
    if words:
        return f"{prefix}{key} must be {words}."
    text = f"{message.removeprefix('Value error, ').rstrip('.')}."
    return f"{prefix}{key}: {text}" if key else text
