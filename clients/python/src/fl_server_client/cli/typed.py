"""What is typed as arguments of `fl train`: people and options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..actor import Actor


def ids_of(actor: Actor, people: Sequence[str]) -> list[str]:
    """The ids of users by their name or id. Raises ValueError: nobody has this name or id."""
    if not people:
        return []
    users = actor.users()
    known = {user["username"]: user["id"] for user in users} | {user["id"]: user["id"] for user in users}
    unknown = [person for person in people if person not in known]
    if unknown:
        raise ValueError(f"The server knows no user {', '.join(unknown)}.")
    return [known[person] for person in people]


def options_of(words: Sequence[str]) -> dict[str, Any]:
    """Options as they are typed: key=value. Raises ValueError."""
    options: dict[str, Any] = {}
    for word in words:
        path, sign, text = word.partition("=")
        *groups, key = path.split(".")
        if not sign or not key:
            raise ValueError(f"{word!r} must be an option such as round_deadline=600.")
        place = options
        for group in groups:
            place = place.setdefault(group, {})
            if not isinstance(place, dict):
                raise ValueError(f"{word!r}: {group} already has a value.")
        place[key] = _value(text)
    return options


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
