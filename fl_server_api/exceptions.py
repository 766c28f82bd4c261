"""From a refusal of the domain, or of the sandbox, to a status: neither knows HTTP."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import ParseError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from fl_server_ai.sandbox import InvalidInput, SandboxBusy, SandboxError, SandboxFailed, WrongShape
from fl_server_api.middleware import RETRY_SECONDS
from fl_server_api.parsers import RequestTooLarge
from fl_server_api.problems import Refusal
from fl_server_core.exceptions import (
    AccountBusy,
    BudgetSpent,
    Conflict,
    DomainError,
    EntityNotFound,
    Gone,
    HasOwnPath,
    InvalidField,
    InvalidRequest,
    InvalidValue,
    LargerThanBudget,
    MissingPart,
    NotAllowed,
    NoTraining,
    ServerBusy,
    TooManyFailures,
)

logger = logging.getLogger(__name__)
STATUSES: dict[type[Exception], int] = {
    NotAllowed: status.HTTP_403_FORBIDDEN,
    EntityNotFound: status.HTTP_400_BAD_REQUEST,
    MissingPart: status.HTTP_404_NOT_FOUND,
    Gone: status.HTTP_410_GONE,
    AccountBusy: status.HTTP_429_TOO_MANY_REQUESTS,
    ServerBusy: status.HTTP_503_SERVICE_UNAVAILABLE,
    BudgetSpent: status.HTTP_507_INSUFFICIENT_STORAGE,
    LargerThanBudget: status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    Conflict: status.HTTP_409_CONFLICT,
    TooManyFailures: status.HTTP_429_TOO_MANY_REQUESTS,
    NoTraining: status.HTTP_404_NOT_FOUND,
    InvalidRequest: status.HTTP_400_BAD_REQUEST,
    InvalidValue: status.HTTP_400_BAD_REQUEST,
    SandboxBusy: status.HTTP_503_SERVICE_UNAVAILABLE,
    SandboxFailed: status.HTTP_503_SERVICE_UNAVAILABLE,
    SandboxError: status.HTTP_400_BAD_REQUEST,
    DomainError: status.HTTP_400_BAD_REQUEST,
}

OWN_PATHS = {
    "update": "/api/models/<id>/",
    "passing_on": "/api/models/<id>/",
    "swag": "/api/models/<id>/swag/",
    "test": "/api/models/<id>/metrics/",
}
"""Where submissions to the kinds of rounds that have a path of their own arrive."""


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer to a refusal. None lets any other error become a 500."""
    if not isinstance(error, DomainError | SandboxError):
        return exception_handler(_refusal_of_body(error), context)
    if isinstance(error, SandboxFailed):
        logger.error("Models cannot be run.", exc_info=error)
    code = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    if isinstance(error, WrongShape):
        return Refusal([error.sentence], told=str(error), status=code)
    return Response(_body(error), status=code, headers=_headers(error, code))


def _headers(error: DomainError | SandboxError, code: int) -> dict[str, str] | None:
    if isinstance(error, TooManyFailures):
        return {"Retry-After": str(error.retry_after)}
    if isinstance(error, AccountBusy):
        return {"Retry-After": str(error.retry_seconds)}
    return {"Retry-After": str(RETRY_SECONDS)} if code == status.HTTP_503_SERVICE_UNAVAILABLE else None


def _body(error: DomainError | SandboxError) -> Any:
    match error:
        case InvalidField():
            return {error.field: error.messages}
        case InvalidValue():
            return error.messages
        case InvalidInput():
            return [str(error)]
        case HasOwnPath(kind=kind) if kind in OWN_PATHS:
            return {"detail": f"{error} Send them to {OWN_PATHS[kind]}, with the model's id from the notification."}
        case _:
            return {"detail": str(error)}


def _refusal_of_body(error: Exception) -> Exception:
    """What Django raises on a body that is too large, in too many parts or cut off, as what can be answered."""
    if isinstance(error, RequestDataTooBig):
        return RequestTooLarge()
    if isinstance(error, SuspiciousOperation):
        return ParseError(str(error))
    if isinstance(error, UnreadablePostError):
        return ParseError("The connection was lost before the whole request had arrived.")
    return error
