"""What core must know of things that others implement: the methods of aggregation and uncertainty, the kinds of rounds.

An implementation registers itself when its module is imported. Packages outside this project register theirs through
entry points of the groups `fl_server.aggregation`, `fl_server.uncertainty` and `fl_server.rounds`; each entry point
names one implementation.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import ClassVar, Protocol, TypeVar, cast

from pydantic import BaseModel


class Unsuitable(Exception):
    """A method cannot be used with a model, or with so many updates. The text is one plain sentence."""


class NameTaken(ValueError):
    """Two implementations have the same name. The text is plain sentences for whoever installed them."""


class Registered(Protocol):
    """Something that is chosen by its name."""

    name: ClassVar[str]
    title: ClassVar[str]


class Method(Registered, Protocol):
    """A method of aggregation or of uncertainty, as far as core needs to know it.

    paper: the source, as it stands in the table of methods. Options: the schema of the method's part of a training's
    options. model_kind: the class of model that it needs, `GlobalModel` for any. round_kind: the kind of a round of
    its own that follows each round that averages; empty: none.
    """

    paper: ClassVar[str]
    Options: ClassVar[type[BaseModel]]
    model_kind: ClassVar[str]
    round_kind: ClassVar[str]


class Kind(Registered, Protocol):
    """A kind of round, as far as others need to know it; `rounds.kinds.RoundKind` is the whole of it."""

    notification: ClassVar[str]
    needs_computing: ClassVar[bool]
    takes_metrics: ClassVar[bool]


Item = TypeVar("Item", bound=Registered)
Implementation = TypeVar("Implementation", bound=type[Registered])


class Registry(dict[str, type[Item]]):
    """Implementations by name, in the order in which they were registered."""

    def __init__(self, group: str) -> None:
        super().__init__()
        self.group = group

    def register(self, item: Implementation) -> Implementation:
        """Make an implementation known; usable as a decorator. Registering the same class again does nothing.

        Raises:
            NameTaken: another implementation has the name.
        """
        known: type[Registered] = self.setdefault(item.name, cast("type[Item]", item))
        if known is not item:
            raise NameTaken(
                f"{_origin(known)} and {_origin(item)} both have the name {item.name!r} in {self.group}. "
                "Rename one of them, or uninstall its package."
            )
        return item

    def load_entry_points(self) -> None:
        """Register what the installed packages offer. Raises NameTaken as `register` does."""
        for entry in entry_points(group=self.group):
            self.register(entry.load())

    def choices(self) -> list[tuple[str, str]]:
        """What a field may hold, each with its title."""
        return [(item.name, item.title) for item in self.values()]


def _origin(item: type[Registered]) -> str:
    package = item.__module__.partition(".")[0]
    return f"{item.__module__}.{item.__qualname__} (package {package})"


aggregation_methods: Registry[Method] = Registry("fl_server.aggregation")
uncertainty_methods: Registry[Method] = Registry("fl_server.uncertainty")
round_kinds: Registry[Kind] = Registry("fl_server.rounds")


def aggregation_choices() -> list[tuple[str, str]]:
    """The choices of `Training.aggregation_method`: a callable, so that a new method needs no migration."""
    return aggregation_methods.choices()


def uncertainty_choices() -> list[tuple[str, str]]:
    """The choices of `Training.uncertainty_method`."""
    return uncertainty_methods.choices()


def needs_computing(kind: str) -> bool:
    """Does closing a round of this kind take long? So it is assumed of a kind that no installed package defines."""
    found = round_kinds.get(kind)
    return found is None or found.needs_computing
