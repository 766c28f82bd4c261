"""What the site says that the code knows: settings, commands, calls, refusals, methods, metrics.

A page asks for it with a line `<!-- generated: NAME ARGUMENT -->`. The text that stands in its place is Markdown.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from docs.generator import api, commands, methods, metrics, navigation, refusals, settings

PARTS: dict[str, Callable[[str], str]] = {
    "settings": settings.settings,
    "server-commands": commands.server_commands,
    "client-commands": commands.client_commands,
    "api": api.operations,
    "api-schemas": api.schemas,
    "statuses": refusals.statuses,
    "sentences": refusals.sentences,
    "methods": methods.methods,
    "metrics": metrics.metrics,
    "file": navigation.file,
    "operations": navigation.operations,
}
MARK = re.compile(r"^<!-- generated: ([a-z-]+)(?: (\S+))? -->$", re.MULTILINE)


class UnknownPart(ValueError):
    """A page asks for a part that nothing generates."""


def expand(text: str) -> str:
    """The page with its generated parts. Raises UnknownPart."""
    return MARK.sub(lambda found: _part(found[1], found[2] or ""), text)


def _part(name: str, argument: str) -> str:
    if name not in PARTS:
        raise UnknownPart(f"No part is called {name!r}. There are: {', '.join(PARTS)}.")
    return PARTS[name](argument)
