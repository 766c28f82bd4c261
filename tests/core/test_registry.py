from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest
from django.db.models import CharField

from fl_server_core import registry
from fl_server_core.models import Training
from fl_server_core.models.training import AggregationMethod, UncertaintyMethod
from fl_server_core.registry import (
    NameTaken,
    Registered,
    Registry,
    aggregation_methods,
    round_kinds,
    uncertainty_methods,
)
from tests.server_process import REPOSITORY


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
    with pytest.raises(NameTaken, match=r"test_registry\.First \(package tests\) and .*Other .* have the name 'first'"):
        known.register(other)
    assert known["first"] is First


@pytest.mark.parametrize("decorated", [False, True])
def test_a_package_whose_method_has_the_name_of_another_stops_the_server_with_a_sentence(
    tmp_path: Path, decorated: bool
) -> None:
    """In a process of its own, with a real package on its path."""
    decorator = "@aggregation_methods.register" if decorated else ""
    (tmp_path / "second_median.py").write_text(
        "from fl_server_ai.aggregation import Aggregation\n"
        "from fl_server_core.registry import aggregation_methods\n"
        f"{decorator}\n"
        "class Again(Aggregation):\n"
        "    name, title, paper = 'Median', 'Again', ''\n"
        "    def reduce(self, block, weights):\n"
        "        return block[0]\n"
    )
    about = tmp_path / "second_median-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: second-median\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[fl_server.aggregation]\nagain = second_median:Again\n")
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(tmp_path), "FL_DATA_DIR": str(tmp_path / "var")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    sentences = (
        "ImproperlyConfigured: fl_server_ai.aggregation.median.Median (package fl_server_ai) and second_median.Again "
        "(package second_median) both have the name 'Median' in fl_server.aggregation. "
        "Rename one of them, or uninstall its package."
    )
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(sentences)


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
