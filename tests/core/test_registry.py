from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import ClassVar

import pytest
from django.db.models import CharField

from fl_server_core import registry
from fl_server_core.models import Training
from fl_server_core.models.training import AggregationMethod, UncertaintyMethod
from fl_server_core.registry import Registered, Registry, aggregation_methods, round_kinds, uncertainty_methods


class First:
    name: ClassVar[str] = "first"
    title: ClassVar[str] = "The first"


class Second:
    name: ClassVar[str] = "second"
    title: ClassVar[str] = "The second"


@pytest.fixture
def known() -> Registry[Registered]:
    return Registry("fl_server.tests")


def test_implementations_are_known_by_name_in_the_order_of_registration(known: Registry[Registered]) -> None:
    assert known.register(Second) is Second
    known.register(First)
    assert dict(known) == {"second": Second, "first": First}
    assert known.choices() == [("second", "The second"), ("first", "The first")]


def test_the_same_class_twice_is_the_same_and_another_of_its_name_is_refused(known: Registry[Registered]) -> None:
    known.register(First)
    known.register(First)
    other = type("Other", (), {"name": "first", "title": "Another"})
    with pytest.raises(ValueError, match=r"Two implementations are named 'first': .*First.*Other"):
        known.register(other)
    assert known["first"] is First


def test_what_installed_packages_offer_is_registered(
    known: Registry[Registered], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def entry_points(group: str) -> list[EntryPoint]:
        asked.append(group)
        return [EntryPoint("anything", f"{__name__}:First", group)]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    known.load_entry_points()
    known.load_entry_points()
    assert (dict(known), set(asked)) == ({"first": First}, {"fl_server.tests"})


def test_what_the_wire_names_is_there_and_may_be_chosen() -> None:
    assert set(AggregationMethod.values) <= set(aggregation_methods)
    assert set(UncertaintyMethod.values) == set(uncertainty_methods)
    assert {"update", "passing_on", "swag", "test"} <= set(round_kinds)
    for name, known in (("aggregation_method", aggregation_methods), ("uncertainty_method", uncertainty_methods)):
        field = Training._meta.get_field(name)
        assert isinstance(field, CharField)
        choices = field.choices
        assert isinstance(choices, Iterable)
        assert [value for value, _title in choices] == list(known)
