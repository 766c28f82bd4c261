from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model as DjangoModel
from rest_framework.exceptions import ParseError

Row = TypeVar("Row", bound=DjangoModel)


def get_entity(cls: type[Row], error_message: str | None = None, error_identifier: object = None, **lookup: Any) -> Row:
    """The one row of `cls` that fits the lookup.

    error_message: the whole sentence of the refusal; error_identifier: what it calls the row, else the lookup's value.

    Raises:
        ParseError: no row fits, or the lookup is malformed.
    """
    try:
        return cls._default_manager.get(**lookup)
    except (ObjectDoesNotExist, ValidationError, ValueError, OverflowError):
        if error_message is not None:
            raise ParseError(error_message) from None
        identifier = next(iter(lookup.values()), None) if error_identifier is None else error_identifier
        raise ParseError(f"{cls.__name__} {identifier} not found.") from None
