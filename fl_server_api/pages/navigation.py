"""The navigation: by what people do, not by the names of tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse


@dataclass(frozen=True)
class Section:
    """One entry of the navigation. kinds: the rows whose lists it holds.

    page: the URL name of its own page, where it has one. below: its other pages have addresses that begin so.
    """

    title: str
    kinds: tuple[str, ...] = ()
    page: str = ""
    below: str = ""


REST = "System"
"""Holds the lists of kinds that no section names."""

SECTIONS = (
    Section("Overview", page="admin:index"),
    Section(
        "Trainings", ("Training", "Round", "Submission", "Metric", "TrainingInvitation"), below="/admin/trainings/"
    ),
    Section("Models", ("GlobalModel", "SWAGModel", "MeanModel", "ModelVersion", "LocalModel"), below="/admin/models/"),
    Section("People", ("User", "Group", "Invitation", "AccessToken", "Identity")),
    Section("Notifications", ("Delivery", "AlertRule", "Alert")),
    Section("Audit", ("AuditEntry", "Event")),
    Section(REST, page="admin:system"),
)


@dataclass(frozen=True)
class Link:
    """A line of the navigation. is_current: the page that is shown."""

    title: str
    url: str
    is_current: bool


@dataclass(frozen=True)
class Entry:
    """A section as a user sees it: only what the user may see."""

    title: str
    url: str
    links: tuple[Link, ...]
    is_current: bool


def navigation(apps: Iterable[Mapping[str, Any]], path: str) -> list[Entry]:
    """The sections with the lists that the user may see. apps: Django's list of them. path: of the page shown."""
    lists = {kind["object_name"]: kind for app in apps for kind in app["models"] if kind["admin_url"]}
    named = {kind for section in SECTIONS for kind in section.kinds}
    rest = [name for name in lists if name not in named]
    return list(_entries(lists, rest, path))


def _entries(lists: Mapping[str, Any], rest: Sequence[str], path: str) -> Iterator[Entry]:
    for section in SECTIONS:
        names = [*section.kinds, *(rest if section.title == REST else ())]
        found = [lists[name] for name in names if name in lists]
        links = tuple(Link(str(one["name"]), one["admin_url"], path.startswith(one["admin_url"])) for one in found)
        url = reverse(section.page) if section.page else links[0].url if links else ""
        if url:
            is_current = path == url or any(link.is_current for link in links) or _is_below(path, section)
            yield Entry(section.title, url, links, is_current)


def _is_below(path: str, section: Section) -> bool:
    return bool(section.below) and path.startswith(section.below)
