"""Files from outside docs/ as pages, links that leave docs/, and pages that are listed once they exist."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
FILE_NAME = re.compile(r"[\w./-]+\.md")
PAGES = {
    "README.md": "docs/index.md",
    "docs/decisions": "docs/decisions/index.md",
    "CONTRIBUTING.md": "docs/explanation/contributing.md",
    "CHANGELOG.md": "docs/explanation/changes.md",
    "clients/python/README.md": "docs/reference/client.md",
    ".env.example": "docs/reference/settings.md",
    "docs/openapi.yaml": "docs/reference/api/index.md",
}
"""Files and folders that stand elsewhere on the site."""
OPERATIONS = ("deployment", "scaling", "storage", "backup", "upgrading", "monitoring", "logging")
"""Pages for operators, in the order of the navigation."""


def file(path: str) -> str:
    """A file of the repository, without its title: the page that asks for it has one."""
    text = (REPOSITORY / path).read_text(encoding="utf-8").partition("\n")[2]
    return moved_links(text, path)


def operations(_: str = "") -> str:
    """The navigation of those pages for operators that exist."""
    names = [f"/{name}" for name in OPERATIONS if (DOCS / f"{name}.md").exists()]
    return "\n".join(["```{toctree}", ":maxdepth: 1", "", "/production", *names, "```"])


def moved_links(text: str, path: str) -> str:
    """The text with links of a file at this path in the repository as links of the site, from its root.

    What is in the repository and not on the site is named instead. A link that reads as a file's name has the page's
    title on the site, up to a colon.
    """
    folder = PurePosixPath(path).parent

    def moved(found: re.Match[str]) -> str:
        label, target, anchor = found.groups(default="")
        if not target or ":" in target or target.startswith(("/", "<")):
            return found[0]
        place = _normal(folder / target)
        place = PAGES.get(place, place)
        if place.startswith("docs/"):
            shown = _title(place) if FILE_NAME.fullmatch(label) else label
            return f"[{shown}](/{place.removeprefix('docs/')}{anchor})"
        return f"{label} (`{place}`)" if (REPOSITORY / place).exists() else found[0]

    return LINK.sub(moved, text)


def _title(place: str) -> str:
    heading = (REPOSITORY / place).read_text(encoding="utf-8").partition("\n")[0]
    return heading.removeprefix("# ").partition(":")[0]


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
