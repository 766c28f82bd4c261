"""The API's operations from docs/openapi.yaml: one page for each tag."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from docs.generator.tables import plain, table

DOCUMENT = Path(__file__).resolve().parents[1] / "openapi.yaml"
VERBS = ("get", "post", "put", "patch", "delete")


def operations(tag: str) -> str:
    """The operations that have this tag, in the order of the document."""
    parts = []
    for path, verbs in document()["paths"].items():
        for verb in VERBS:
            if tag in verbs.get(verb, {}).get("tags", ()):
                parts.append(_operation(verb.upper(), path, verbs[verb]))
    return "\n".join(parts)


@cache
def document() -> dict[str, Any]:
    """The kept OpenAPI document."""
    found: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return found


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"## {plain(operation['summary'])}\n", f"`{verb} {path}` (`{operation['operationId']}`)\n"]
    parts.append(f"{operation.get('description', '')}\n")
    if operation.get("security") == [] or {} in operation.get("security", ()):
        parts.append("Needs no credentials.\n")
    given = [_resolved(one) for one in operation.get("parameters", ())]
    rows = [[f"`{one['name']}`", one["in"], _kind(one["schema"]), plain(one.get("description", ""))] for one in given]
    parts.append(table(["parameter", "in", "type", "what it says"], rows))
    for kind, body in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"The body, `{kind}`:\n\n" + _fields(body.get("schema", {}), asked=True))
    rows = [_response(code, _resolved(one)) for code, one in operation["responses"].items()]
    parts.append(table(["status", "answer"], rows))
    return "\n".join(part for part in parts if part)


def _response(code: str, response: dict[str, Any]) -> list[str]:
    kinds = [
        f"`{kind}`: {_kind(body.get('schema', {}))}"
        for kind, body in response.get("content", {}).items()
        if code.startswith("2")
    ]
    about = plain(response.get("description", ""))
    return [f"{code} {HTTPStatus(int(code)).phrase}", " ".join([about, "; ".join(kinds)]).strip()]


def schemas(_: str = "") -> str:
    """The fields of all answers and bodies that operations name, by the schema's name."""
    shown = []
    for name, schema in document()["components"]["schemas"].items():
        if "enum" in schema:
            shown.append(f"## {name}\n\nOne of {', '.join(f'`{one}`' for one in schema['enum'])}.\n")
        elif choices := [_kind(one) for one in schema.get("oneOf", schema.get("anyOf", ()))]:
            shown.append(f"## {name}\n\nOne of {', '.join(choices)}.\n")
        elif fields := _fields({"$ref": f"#/components/schemas/{name}"}, asked=False):
            shown.append(f"## {name}\n\n{plain(schema.get('description', ''))}\n\n{fields}")
    return "\n".join(shown)


def _fields(schema: dict[str, Any], *, asked: bool) -> str:
    """The fields of an object; `asked`: of a body, of which some may be left out."""
    whole = _resolved(schema)
    for part in whole.get("allOf", ()):
        whole = {**_resolved(part), **{key: value for key, value in whole.items() if key != "allOf"}}
    rows = []
    for name, one in whole.get("properties", {}).items():
        needed = "required" if name in whole.get("required", ()) else "optional"
        rows.append(
            [f"`{name}`", _kind(one), plain(_resolved(one).get("description", ""))] + ([needed] if asked else [])
        )
    heads = ["field", "type", "what it says"] + (["needed"] if asked else [])
    shown = table(heads, rows)
    if shown or not asked:
        return shown
    return f"{_kind(schema)}\n"


def _kind(schema: dict[str, Any]) -> str:
    """A type in a few words; a named one links to its fields."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](schemas.md#{name.lower()})" if name in document()["components"]["schemas"] else name
    for key, word in (("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")):
        if key in schema:
            return word.join(_kind(one) for one in schema[key] if one)
    if "enum" in schema:
        return "one of " + ", ".join(f"`{one}`" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    form = schema.get("format", "")
    words = {"uuid": "id", "date-time": "time", "binary": "file", "uri": "address"}
    kind = schema.get("type", "anything")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    return words.get(form, kind)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = document()
    for step in schema["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    resolved: dict[str, Any] = found
    return resolved
