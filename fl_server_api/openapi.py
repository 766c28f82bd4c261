"""What the views' pages in the schema say beyond their docstrings: the answers, refusals included."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from drf_spectacular import authentication
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from pydantic import BaseModel

from fl_server_api.operations import name_of
from fl_server_api.serializers.generic import DetailSerializer
from fl_server_core.options import TrainerOptions
from fl_server_core.registry import aggregation_methods, uncertainty_methods
from fl_server_core.schema import AggregationOptions, UncertaintyOptions, wanted

DOWNLOAD = (200, "application/octet-stream")
JSON = "application/json"

SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "description": "A refusal in one sentence.",
        "properties": {"detail": {"type": "string"}},
        "required": ["detail"],
    },
    "ErrorList": {"type": "array", "description": "A refusal in sentences.", "items": {"type": "string"}},
    "FieldErrors": {
        "type": "object",
        "description": "What is wrong with each field: sentences, or for a list or an object these by its entries.",
        "additionalProperties": {},
    },
}
"""The bodies of refusals."""

SENTENCE = {"$ref": "#/components/schemas/Error"}
BAD_REQUEST = {
    "anyOf": [SENTENCE, *({"$ref": f"#/components/schemas/{name}"} for name in ("ErrorList", "FieldErrors"))]
}


class Refusal(NamedTuple):
    """How the document describes a status of refusal, once for all operations."""

    name: str
    description: str
    schema: dict[str, Any] = SENTENCE


REFUSALS = {
    400: Refusal(
        "BadRequest",
        "An unknown id, a field or a file that cannot be used: a sentence, sentences, or these by field.",
        BAD_REQUEST,
    ),
    401: Refusal("NotSignedIn", "Credentials are missing or wrong."),
    403: Refusal("NotAllowed", "The caller may not do this."),
    404: Refusal("NotFound", "What was asked for is not there."),
    406: Refusal("NotAcceptable", "The Accept header asks for another format than JSON."),
    409: Refusal("Conflict", "The request does not fit the present state; the sentence says what to do first."),
    410: Refusal("Gone", "The version's file is no longer kept."),
    412: Refusal("ConditionFailed", "The file is not the one that If-Match or If-Unmodified-Since is about."),
    413: Refusal("TooLarge", "The request is too large."),
    415: Refusal("UnsupportedContentType", "This Content-Type is not accepted here."),
    416: Refusal("RangeNotSatisfiable", "The file does not have the bytes that Range asks for."),
    429: Refusal(
        "TooMany", "Too many failures to sign in, or too much at once. Try again after the seconds in Retry-After."
    ),
    503: Refusal("Unavailable", "Try again after the seconds in Retry-After."),
    507: Refusal("BudgetSpent", "The account owns as much as it may; the sentence says of what, and what to do."),
}
READ = (401, 406, 429)
WRITE = (400, 401, 406, 413, 415, 429)
KEEP = (*WRITE, 507)
"""Refusals of what makes an account own more than it did."""


def answers(success: dict[Any, Any], *refusals: int) -> dict[Any, Any]:
    """The answers of an operation: the good ones, and the refusals by status.

    Whatever takes credentials may answer 429: requests are counted for each account.
    """
    counted = {429} if 401 in refusals else set()
    told = {code: REFUSALS[code] for code in sorted(counted.union(refusals))}
    return {**success, **{code: OpenApiResponse(one.schema, one.description) for code, one in told.items()}}


def sentence(*texts: str) -> OpenApiResponse:
    """A good answer that is one of these sentences."""
    return OpenApiResponse(DetailSerializer, examples=[OpenApiExample(text, value={"detail": text}) for text in texts])


def options_text() -> str:
    """The options of a training, with those of the methods that the running server has, as Markdown."""
    lines = ["Known `options`, all optional, others being kept for the participants to read:", ""]
    lines += _option_lines(TrainerOptions)
    lines += _option_lines(UncertaintyOptions, "uncertainty.")
    for method in uncertainty_methods.values():
        if method.Options is not UncertaintyOptions:
            lines += _option_lines(method.Options, "uncertainty.", f" ({method.title})")
    lines += _option_lines(AggregationOptions, "aggregation.")
    for method in aggregation_methods.values():
        lines += _option_lines(method.Options, "aggregation.", f" ({method.title})")
    return "\n".join(lines)


def _option_lines(schema: type[BaseModel], prefix: str = "", method: str = "") -> list[str]:
    lines = []
    for name, field in schema.model_fields.items():
        default = "" if field.default is None else f", by default {json.dumps(field.default)}"
        lines.append(f"- `{prefix}{name}`{method}: {wanted(field) or 'any value'}{default}")
    return lines


def download() -> dict[Any, Any]:
    """A good answer that is a file."""
    return {DOWNLOAD: OpenApiTypes.BINARY}


def file_download() -> dict[Any, Any]:
    """A good answer that is a file in the storage, or a part of it, or word that the caller has it."""
    part, same = OpenApiResponse(OpenApiTypes.BINARY, "The bytes that Range asks for."), "The caller has this file."
    moved = OpenApiResponse(None, "The file is at the address in Location, for a short while.")
    known: dict[Any, Any] = {302: moved, 304: OpenApiResponse(None, same)}
    return {**download(), (206, DOWNLOAD[1]): part, **known, **answers({}, 412, 416)}


class BasicScheme(authentication.BasicScheme):  # type: ignore[no-untyped-call]  # registers itself
    """Basic authentication, as ours has it."""

    target_class = "fl_server_api.authentication.BasicAuthentication"


class SessionScheme(authentication.SessionScheme):  # type: ignore[no-untyped-call]  # registers itself
    """Session authentication, as ours has it."""

    target_class = "fl_server_api.authentication.SessionAuthentication"


class DocstringSchema(AutoSchema):
    """The first line of a view's docstring is the summary, the rest the description."""

    def get_summary(self) -> str | None:
        lines = self._docstring().splitlines()
        return lines[0].rstrip(".") if lines else None

    def get_description(self) -> str:  # type: ignore[override]  # the signature is drf-spectacular's
        return "\n".join(self._docstring().splitlines()[1:]).strip()

    def get_operation_id(self) -> str:
        return name_of(self.path, self.method) or super().get_operation_id()

    def map_parsers(self) -> list[str]:
        """One content type: JSON where it is read. Generators take no more, and can't send `*/*`."""
        known = super().map_parsers()
        return [JSON] if {JSON, "*/*"} & set(known) else known[:1]

    def _docstring(self) -> str:
        return str(super().get_description() or "")


def finish(result: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """What drf-spectacular can't say view by view."""
    _share_refusals(result["paths"], result["components"])
    for schema in result["components"]["schemas"].values():
        if "discriminator" not in schema and "oneOf" in schema:
            schema["anyOf"] = schema.pop("oneOf")  # a SWAG model has all keys of a global one
    return result


def _share_refusals(paths: dict[str, Any], components: dict[str, Any]) -> None:
    """Describe each refusal once: operations refer to it, so that a generated client has one class for each."""
    components["schemas"] = dict(sorted({**components.get("schemas", {}), **SCHEMAS}.items()))
    components["responses"] = {
        one.name: {"description": one.description, "content": {JSON: {"schema": one.schema}}}
        for one in REFUSALS.values()
    }
    for path in paths.values():
        for operation in path.values():
            for code in set(operation["responses"]).intersection(map(str, REFUSALS)):
                operation["responses"][code] = {"$ref": f"#/components/responses/{REFUSALS[int(code)].name}"}
