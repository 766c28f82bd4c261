"""Which differences between two OpenAPI documents break clients, generated ones included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any

Json = dict[str, Any]
MOST = ("maximum", "maxLength", "maxItems")
LEAST = ("minimum", "minLength", "minItems")


class Direction(Enum):
    """Requests may become wider, answers may become narrower; the reverse breaks clients."""

    REQUEST = "request"
    ANSWER = "answer"


def breaking_changes(old: Json, new: Json) -> list[str]:
    """A sentence for each change that breaks clients of `old`; each names the operation."""
    return sorted(set(_Comparison(old, new).operations()))


class _Comparison:
    def __init__(self, old: Json, new: Json) -> None:
        self.old, self.new = old, new

    def operations(self) -> Iterator[str]:
        for path, item in self.old["paths"].items():
            for method, old in item.items():
                where = f"{method.upper()} {path}"
                new = self.new["paths"].get(path, {}).get(method)
                if new is None:
                    yield f"{where}: removed."
                    continue
                if old["operationId"] != new["operationId"]:
                    yield f"{where}: operationId {old['operationId']} became {new['operationId']}."
                if old.get("tags") != new.get("tags"):
                    yield f"{where}: its tags changed, by which generated clients group operations."
                for scheme in old.get("security", [{}]):
                    if scheme not in new.get("security", [{}]):
                        yield f"{where}: security {'+'.join(scheme) or 'none'} removed."
                yield from self._parameters(where, old, new)
                yield from self._body(where, old.get("requestBody"), new.get("requestBody"))
                yield from self._answers(where, old["responses"], new["responses"])

    def _parameters(self, where: str, old: Json, new: Json) -> Iterator[str]:
        before, after = _by_place(old), _by_place(new)
        for place in before:
            if place not in after:
                yield f"{where}: parameter {place} removed."
            else:
                schemas = before[place]["schema"], after[place]["schema"]
                yield from self._schemas(f"{where}: {place}", *schemas, Direction.REQUEST, frozenset())
        for place, parameter in after.items():
            if parameter.get("required") and not before.get(place, {}).get("required"):
                yield f"{where}: parameter {place} is now required."

    def _body(self, where: str, old: Json | None, new: Json | None) -> Iterator[str]:
        if new is not None and new.get("required") and not (old or {}).get("required"):
            yield f"{where}: a body is now required."
        if old is not None:
            yield from self._contents(f"{where}: body", old, new or {}, Direction.REQUEST)

    def _answers(self, where: str, old: Json, new: Json) -> Iterator[str]:
        for code in old:
            if code not in new:
                yield f"{where}: answer {code} removed."
            else:
                before, after = _resolved(self.old, old[code]), _resolved(self.new, new[code])
                yield from self._contents(f"{where}: answer {code}", before, after, Direction.ANSWER)

    def _contents(self, where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
        before, after = old.get("content", {}), new.get("content", {})
        for kind, content in before.items():
            if kind not in after:
                yield f"{where}: content type {kind} removed."
            else:
                yield from self._schemas(where, content["schema"], after[kind]["schema"], direction, frozenset())

    def _schemas(self, where: str, old: Json, new: Json, direction: Direction, seen: frozenset[str]) -> Iterator[str]:
        names = old.get("$ref", ""), new.get("$ref", "")
        if names[0] in seen and names[0]:
            return
        if names[0] and names[0] != names[1]:
            yield f"{where}: schema {_last(names[0])} became {_last(names[1]) or 'one without a name'}."
        old, new, seen = _resolved(self.old, old), _resolved(self.new, new), seen | {names[0]}
        yield from _types(where, old, new, direction)
        yield from _values(where, old, new, direction)
        if direction is Direction.REQUEST:
            yield from _bounds(where, old, new)
        yield from self._properties(where, old, new, direction, seen)
        for key in ("items", "additionalProperties"):
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                yield from self._schemas(f"{where}[]", old[key], new[key], direction, seen)
        for key in ("oneOf", "anyOf", "allOf"):
            yield from self._alternatives(where, old.get(key, []), new.get(key, []), direction, seen)

    def _properties(
        self, where: str, old: Json, new: Json, direction: Direction, seen: frozenset[str]
    ) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name in before:
            if name not in after:
                yield f"{where}: field {name} removed."
            else:
                yield from self._schemas(f"{where}.{name}", before[name], after[name], direction, seen)
        had, has = set(old.get("required", [])), set(new.get("required", []))
        if direction is Direction.REQUEST:
            yield from (f"{where}: field {name} is now required." for name in has - had)
        else:
            yield from (f"{where}: field {name} may now be missing." for name in (had - has) & after.keys())

    def _alternatives(
        self, where: str, old: list[Json], new: list[Json], direction: Direction, seen: frozenset[str]
    ) -> Iterator[str]:
        before, after = ({_key(one): one for one in some} for some in (old, new))
        if direction is Direction.REQUEST:
            yield from (f"{where}: alternative {key} removed." for key in before.keys() - after.keys())
        else:
            yield from (f"{where}: alternative {key} added." for key in after.keys() - before.keys())
        for key in before.keys() & after.keys():
            yield from self._schemas(where, before[key], after[key], direction, seen)


def _types(where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
    for key in ("type", "format"):
        if old.get(key) != new.get(key):
            yield f"{where}: {key} {old.get(key, 'any')} became {new.get(key, 'any')}."
    wider, narrower = (new, old) if direction is Direction.ANSWER else (old, new)
    if wider.get("nullable") and not narrower.get("nullable"):
        yield f"{where}: {'may now' if direction is Direction.ANSWER else 'may no longer'} be null."


def _values(where: str, old: Json, new: Json, direction: Direction) -> Iterator[str]:
    before, after = old.get("enum"), new.get("enum")
    if direction is Direction.REQUEST and after is not None:
        gone = ["any other"] if before is None else [value for value in before if value not in after]
        yield from (f"{where}: value {value} is no longer accepted." for value in gone)
    if direction is Direction.ANSWER and before is not None:
        added = ["any other"] if after is None else [value for value in after if value not in before]
        yield from (f"{where}: value {value} is new in answers." for value in added)


def _bounds(where: str, old: Json, new: Json) -> Iterator[str]:
    for key in MOST + LEAST:
        sign = 1 if key in MOST else -1
        if key in new and (key not in old or sign * new[key] < sign * old[key]):
            yield f"{where}: {key} {old.get(key, 'unbounded')} became {new[key]}."
    if "pattern" in new and old.get("pattern") != new["pattern"]:
        yield f"{where}: pattern {old.get('pattern', 'none')} became {new['pattern']}."


def _by_place(operation: Json) -> dict[str, Json]:
    return {f"{one['in']} {one['name']}": one for one in operation.get("parameters", [])}


def _resolved(document: Json, part: Json) -> Json:
    while "$ref" in part:
        found: Any = document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


def _key(schema: Json) -> str:
    """What an alternative is found by again: its name, or what it is."""
    return _last(schema["$ref"]) if "$ref" in schema else json.dumps(schema.get("type", schema), sort_keys=True)


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
