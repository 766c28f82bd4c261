"""Asking a model from its page: the same service, the same budgets and the same sandbox as POST /api/inference/."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fl_server_ai.inference.decode import decode_input
from fl_server_ai.inference.methods import fitting_methods, method_of
from fl_server_ai.inference.predict import predict
from fl_server_ai.sandbox import SandboxError, SandboxFailed
from fl_server_api.pages.answers import Answer, answer_of
from fl_server_api.parsers import RequestTooLarge
from fl_server_api.serializers.inference import ModelInputField
from fl_server_core.exceptions import DomainError, InvalidRequest
from fl_server_core.long_requests import count_request, inference_of
from fl_server_core.models import Model, User

logger = logging.getLogger(__name__)
REFUSALS = (DomainError, SandboxError, RequestTooLarge, FileNotFoundError)
MAX_DIGITS = 9


def methods_of(model: Model) -> list[tuple[str, str]]:
    """Name and title of each method by which the model can be asked, that of its training first."""
    return [
        (method.name, method.title if method.measures else f"{method.title}: the most likely class only")
        for method in fitting_methods(model)
    ]


def ask(user: User, model: Model, form: Mapping[str, str], files: Mapping[str, Any]) -> Answer:
    """What the model says of the file, or of the text, in the form.

    Raises:
        REFUSALS: the input can't be read, the model can't be run, or the account or the server has too much to do.
    """
    count_request(user)
    given = files.get("file") or form.get("text", "").strip()
    if not given:
        raise InvalidRequest("Paste an input, or choose a file.")
    method = method_of(model, form.get("method") or None)
    number = version_number(form.get("version", ""))
    content = ModelInputField().to_internal_value(given)
    with inference_of(user):
        model_input = decode_input(content)
        said = predict(user=user, model=model, model_input=model_input, number=number, method_name=method.name)
    return answer_of(said, method)


def version_number(text: str) -> int | None:
    """The number of a version as it stands in a form or an address; None for nothing.

    Raises:
        InvalidRequest: it is something else.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
        raise InvalidRequest("The number of a version must be a whole number.")
    return int(text)


def sentence(error: Exception) -> str:
    """One of REFUSALS for the person who asked."""
    if isinstance(error, SandboxFailed):
        logger.error("Models cannot be run.", exc_info=error)
    if isinstance(error, FileNotFoundError):
        return "The model's file is no longer in the storage. Restore another version."
    return str(error)
