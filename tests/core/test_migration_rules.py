"""Migrations leave the version before them able to serve."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState

from fl_server_core.operations import AddIndexWithoutLock
from tests.core.migration_rules import breaches

pytestmark = pytest.mark.once

APP = "fl_server_core"
LAST_WITHOUT_RULES = "0013_alert_rules"
"""What came before was made in one go with the servers stopped. The rules hold for all that comes after."""


@pytest.fixture(scope="module")
def loader() -> MigrationLoader:
    return MigrationLoader(None)


def test_every_migration_keeps_the_rules(loader: MigrationLoader) -> None:
    (newest,) = loader.graph.leaf_nodes(APP)
    plan = loader.graph.forwards_plan(newest)
    assert (APP, LAST_WITHOUT_RULES) in plan
    later = [key for key in plan[plan.index((APP, LAST_WITHOUT_RULES)) + 1 :] if key[0] == APP]
    found = {
        f"{key[1]}: {problem}"
        for key in later
        for problem in breaches(loader.graph.nodes[key], loader.project_state(key, at_end=False))
    }
    assert not found, "\n".join(["docs/upgrading.md has the rules for migrations.", *sorted(found)])


def problems(*operations: Any, atomic: bool = True, **said: str) -> str:
    """What is wrong with a migration of these operations on a table with a few columns; "" if nothing is."""
    state = ProjectState()
    make = migrations.CreateModel(
        "Row",
        [
            ("id", models.BigAutoField(primary_key=True)),
            ("name", models.CharField(max_length=32)),
            ("note", models.TextField(null=True)),
        ],
    )
    make.state_forwards(APP, state)
    migrations.CreateModel("Page", [("id", models.BigAutoField(primary_key=True))]).state_forwards(APP, state)
    attributes = {"operations": list(operations), "atomic": atomic, **said}
    migration = type("Migration", (migrations.Migration,), attributes)("0099_example", APP)
    return " ".join(breaches(migration, state))


INDEX = models.Index(fields=["name"], name="by_name")
CHECK = models.CheckConstraint(condition=~models.Q(name=""), name="named")


def add(field: Any) -> migrations.AddField:
    return migrations.AddField("row", "more", field)


def alter(name: str, field: Any) -> migrations.AlterField:
    return migrations.AlterField("row", name, field)


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        (add(models.IntegerField(default=0)), "db_default"),
        (add(models.IntegerField(null=True, db_index=True)), "AddIndexWithoutLock"),
        (add(models.ForeignKey("fl_server_core.row", models.CASCADE, null=True)), "AddIndexWithoutLock"),
        (migrations.RemoveField("row", "name"), "contract"),
        (migrations.RenameField("row", "name", "title"), "contract"),
        (migrations.DeleteModel("Row"), "contract"),
        (migrations.RenameModel("Row", "Line"), "contract"),
        (migrations.AlterModelTable("row", "lines"), "contract"),
        (migrations.AddConstraint("row", CHECK), "contract"),
        (migrations.AddIndex("row", INDEX), "AddIndexWithoutLock"),
        (AddIndexWithoutLock("row", INDEX), "atomic = False"),
        (alter("note", models.TextField()), "contract"),
        (alter("name", models.CharField(max_length=31)), "writes the whole table anew"),
        (alter("name", models.IntegerField()), "writes the whole table anew"),
        (alter("name", models.CharField(max_length=32, unique=True)), "AddIndexWithoutLock"),
        (migrations.RunSQL("SELECT 1"), "unchecked"),
        (migrations.RunPython(migrations.RunPython.noop), "unchecked"),
    ],
)
def test_what_the_version_before_could_not_live_with_is_refused(operation: Any, word: str) -> None:
    assert word in problems(operation)


@pytest.mark.parametrize(
    "operations",
    [
        [add(models.IntegerField(db_default=0))],
        [add(models.IntegerField(null=True))],
        [add(models.ManyToManyField("fl_server_core.row"))],
        [alter("name", models.CharField(max_length=64))],
        [alter("name", models.TextField())],
        [alter("name", models.CharField(max_length=32, help_text="Its name."))],
        [
            migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))]),
            migrations.AddField("other", "number", models.IntegerField(unique=True)),
            migrations.AddIndex("other", models.Index(fields=["number"], name="by_number")),
        ],
        [migrations.SeparateDatabaseAndState(state_operations=[migrations.RemoveField("row", "note")])],
    ],
)
def test_what_it_does_not_see_is_allowed(operations: list[Any]) -> None:
    assert problems(*operations) == ""


def test_a_migration_locks_one_table_that_there_was_before() -> None:
    column = migrations.AddField("other", "more", models.IntegerField(null=True))
    make = migrations.CreateModel("Other", [("id", models.BigAutoField(primary_key=True))])
    assert problems(make, column, add(models.IntegerField(null=True))) == ""
    other = migrations.AddField("page", "more", models.IntegerField(null=True))
    assert "locks several tables, page, row" in problems(add(models.IntegerField(null=True)), other)


def test_a_migration_says_what_it_is_and_one_that_can_not_be_taken_back_does_one_thing() -> None:
    assert problems(migrations.RemoveField("row", "note"), contract="1.2 has ceased to read it") == ""
    assert problems(migrations.RunSQL("SELECT 1"), unchecked="it changes nothing") == ""
    assert problems(AddIndexWithoutLock("row", INDEX), atomic=False) == ""
    assert "a single operation" in problems(
        AddIndexWithoutLock("row", INDEX), add(models.IntegerField(null=True)), atomic=False
    )
