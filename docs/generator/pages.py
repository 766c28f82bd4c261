"""Looks through a built site: links lead somewhere, pictures have a description, nothing is loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NOT_LOADED = {"canonical", "next", "prev", "author", "index", "search", "copyright"}


@dataclass
class Page:
    """What a page links to, loads, can be linked to at, and which of its pictures have no description."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    undescribed: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Collects a page."""

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.anchors |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.page.links.append(given["href"])
        if tag == "img" and not given.get("alt"):
            self.page.undescribed.append(given.get("src", ""))
        address = given.get(LOADING.get(tag, ""), "")
        if address and not (tag == "link" and given.get("rel") in NOT_LOADED):
            self.page.loads.append(address)


def faults(folder: Path) -> list[str]:
    """A sentence for each link that leads nowhere, picture without a description, and load from another host."""
    pages = {path.resolve(): _read(path) for path in sorted(folder.rglob("*.html"))}
    return [fault for path, page in pages.items() for fault in _faults(folder.resolve(), path, page, pages)]


def _read(path: Path) -> Page:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader.page


def _faults(folder: Path, path: Path, page: Page, pages: dict[Path, Page]) -> Iterator[str]:
    where = path.relative_to(folder)
    for address in page.loads:
        if urlsplit(address).netloc:
            yield f"{where} loads {address} from another host."
    for address in page.undescribed:
        yield f"{where} shows {address} without a description (alt)."
    for address in page.links + page.loads:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"{where} links to {address}, which isn't there."
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
            yield f"{where} links to {address}, which has no such heading."
