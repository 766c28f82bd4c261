"""Refusals: which class becomes which status, and the sentences that the code answers with, read from its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from docs.generator.tables import plain, table

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = ("fl_server_core", "fl_server_ai", "fl_server_api", "fl_server", "clients/python/src", "fl_server_command")
GAP = "…"
"""Stands for what the code puts into a sentence."""
CHECK_ID = r"fl_server\.[EW]\d{3}"


def statuses(_: str = "") -> str:
    """The statuses of refusals, with the classes that become them."""
    import django

    django.setup()
    from fl_server_api.exceptions import STATUSES

    by_status: dict[int, list[str]] = {}
    for kind, status in STATUSES.items():
        about = (kind.__doc__ or "").strip().split("\n\n")[0].split(" `")[0].partition(":")[0]
        by_status.setdefault(status, []).append(f"`{kind.__name__}`: {plain(about)}")
    rows = [[str(code), HTTPStatus(code).phrase, "<br>".join(by_status[code])] for code in sorted(by_status)]
    return table(["status", "phrase", "what it is"], rows)


def sentences(_: str = "") -> str:
    """The sentences of refusals by status, and the findings of the system checks."""
    import django

    django.setup()
    from fl_server_api.exceptions import STATUSES

    names = {kind.__name__: status for kind, status in STATUSES.items()}
    found: dict[int, set[str]] = {}
    for name, sentence in raised(PLACES[:3]):
        if name in names and " " in sentence:
            found.setdefault(names[name], set()).add(sentence)
    parts = [
        f"### {status} {HTTPStatus(status).phrase}\n\n" + "\n".join(f"- {plain(one)}" for one in sorted(found[status]))
        for status in sorted(found)
    ]
    return "\n\n".join([*parts, "## Findings of `fl-server check`\n", _checks()])


def raised(places: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The class and the text of each `raise Class("…")`; what is filled in is a gap."""
    for node in _nodes(places):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            called = node.exc.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            text = text_of(node.exc.args[0])
            if text:
                yield name, text


def all_texts() -> list[str]:
    """Every text in the code and its templates, with gaps: where a quoted sentence must be found."""
    texts = [text for node in _nodes(PLACES) if (text := text_of(node))]
    for place in PLACES[:4]:
        texts += [path.read_text(encoding="utf-8") for path in (REPOSITORY / place).rglob("*.html")]
    return [re.sub(r"{[a-z_]*}", GAP, " ".join(text.split())) for text in texts]


def text_of(node: ast.AST) -> str:
    """A constant text or an f-string as people read it; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else GAP for part in node.values)
    return ""


def _nodes(places: tuple[str, ...]) -> Iterator[ast.AST]:
    for place in places:
        for file in sorted((REPOSITORY / place).rglob("*.py")):
            if "bundled" not in file.parts and "migrations" not in file.parts:
                yield from ast.walk(ast.parse(file.read_text(encoding="utf-8")))


def _checks() -> str:
    rows = sorted(findings(), key=lambda row: re.sub(r"\W", "", row[0]))
    return table(
        ["id", "what it says", "what to do"], [[f"`{one}`", plain(what), plain(hint)] for one, what, hint in rows]
    )


def findings() -> Iterator[tuple[str, str, str]]:
    """Of the system checks: id, what it says, what to do. Some ids have several, some sentences several ids."""
    from fl_server.checks.sandbox import WALLS
    from fl_server.checks.storage import REASONS

    for number, hint in WALLS.values():
        yield f"fl_server.{number}", "Models run without a wall of the sandbox.", hint
    for what, hint in REASONS.values():
        yield "fl_server.E010", re.sub(r"{[a-z_]*!?r?}", GAP, what), hint
    for node in _nodes(("fl_server/checks",)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("checks.Error", "checks.Warning"):
            given = {one.arg: one.value for one in node.keywords}
            what, hint = (text_of(one) or GAP for one in (node.args[0], given["hint"]))
            for part in ast.walk(given["id"]):
                if re.fullmatch(CHECK_ID, text_of(part)):
                    yield text_of(part), what, hint
