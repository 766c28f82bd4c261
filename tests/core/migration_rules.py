"""What a migration must not do, since the version before it goes on serving while it runs and afterwards.

docs/upgrading.md has the rules in words. A migration says of itself, in attributes of its class:
`contract`, that it takes away what an earlier release has ceased to use (and which one), and
`unchecked`, why its Python or SQL, which nothing here can read, does no harm to processes of the version before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.db import migrations
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Field

from fl_server_core.operations import AddIndexWithoutLock

POSTGRESQL = DatabaseWrapper({"NAME": "", "OPTIONS": {}})  # asked for the types of columns, and never connected
DESTRUCTIVE = (
    migrations.RemoveField,
    migrations.DeleteModel,
    migrations.RenameField,
    migrations.RenameModel,
    migrations.AlterModelTable,
    migrations.AddConstraint,
    migrations.AlterUniqueTogether,
)
LOCKING = (*DESTRUCTIVE, migrations.AddField, migrations.RemoveConstraint)
UNREADABLE = (migrations.RunPython, migrations.RunSQL)


def breaches(migration: migrations.Migration, state: ProjectState) -> list[str]:
    """What is wrong with a migration, a sentence each. state: before it; it is moved on."""
    found = list(_of_all(migration, state))
    changed = {table for table in _changed_tables(migration) if table}
    if migration.atomic and len(changed) > 1:
        found.append(
            f"It locks several tables, {', '.join(sorted(changed))}: a migration for each, or requests deadlock."
        )
    is_alone = len(migration.operations) == 1
    if not migration.atomic and not is_alone:
        found.append("A migration that isn't atomic must hold a single operation, so that it can be repeated.")
    return found


def _on_database(operation: Operation) -> list[Operation]:
    """What an operation does to the database, and not only to Django's idea of it."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return list(operation.database_operations)
    return [operation]


def _changed_tables(migration: migrations.Migration) -> Iterator[str]:
    """The tables that there were before, whose columns or constraints it changes."""
    new = {one.name.lower() for one in migration.operations if isinstance(one, migrations.CreateModel)}
    for operation in migration.operations:
        for one in _on_database(operation):
            if isinstance(one, LOCKING) and _table_of(one) not in new:
                yield _table_of(one)


def _of_all(migration: migrations.Migration, state: ProjectState) -> Iterator[str]:
    app, new = migration.app_label, set[str]()
    for operation in migration.operations:
        for one in _on_database(operation):
            if isinstance(one, migrations.CreateModel):
                new.add(one.name.lower())
            elif _table_of(one) not in new:
                yield from _of_one(one, migration, state)
        operation.state_forwards(app, state)


def _table_of(operation: object) -> str:
    return str(getattr(operation, "model_name", "") or getattr(operation, "name", "")).lower()


def _of_one(operation: object, migration: migrations.Migration, state: ProjectState) -> Iterator[str]:
    name = f"{type(operation).__name__} {_table_of(operation)}".strip()
    is_contract = bool(getattr(migration, "contract", ""))
    if isinstance(operation, UNREADABLE) and not getattr(migration, "unchecked", ""):
        yield f"{name}: say in `unchecked` why processes of the version before can go on during and after it."
    elif isinstance(operation, DESTRUCTIVE) and not is_contract:
        yield f"{name}: the version before may still need it otherwise. This is a contract step, of a later release."
    elif isinstance(operation, migrations.AddIndex):
        yield from _of_index(name, operation, migration)
    elif isinstance(operation, migrations.AddField):
        yield from _of_new_column(f"{name}.{operation.name}", operation.field)
    elif isinstance(operation, migrations.AlterField):
        before = state.models[migration.app_label, operation.model_name_lower].fields[operation.name]
        yield from _of_changed_column(f"{name}.{operation.name}", before, operation.field, is_contract)


def _of_index(name: str, operation: migrations.AddIndex, migration: migrations.Migration) -> Iterator[str]:
    if not isinstance(operation, AddIndexWithoutLock):
        yield f"{name}: it stops all who write to the table. Use AddIndexWithoutLock, in a migration of its own."
    elif migration.atomic:
        yield f"{name}: the migration needs atomic = False."


def _of_new_column(name: str, field: Field) -> Iterator[str]:  # type: ignore[type-arg]
    if field.many_to_many:
        return
    if not field.null and not field.has_db_default():
        yield f"{name}: the version before inserts rows without it. Give it null=True or db_default."
    if _is_indexed(field):
        yield f"{name}: its index stops all who write to the table. Use db_index=False, then AddIndexWithoutLock."


def _of_changed_column(name: str, before: Field, after: Field, is_contract: bool) -> Iterator[str]:  # type: ignore[type-arg]
    if before.null and not after.null and not is_contract:
        yield f"{name}: the version before may write NULL. This is a contract step, of a later release."
    if _is_indexed(after) and not _is_indexed(before):
        yield f"{name}: its index stops all who write to the table. Use AddIndexWithoutLock."
    old, new = str(before.db_type(POSTGRESQL)), str(after.db_type(POSTGRESQL))
    if not _is_wider(old, new):
        yield f"{name}: {old} becomes {new}, which writes the whole table anew. Add another column instead."


def _is_indexed(field: Field) -> bool:  # type: ignore[type-arg]
    return field.unique or bool(getattr(field, "db_index", False))


def _is_wider(old: str, new: str) -> bool:
    """Does PostgreSQL change the one type into the other without a look at the rows?"""
    sizes = [re.fullmatch(r"varchar\((\d+)\)", text) for text in (old, new)]
    if sizes[0] and sizes[1]:
        return int(sizes[0][1]) <= int(sizes[1][1])
    return old == new or (bool(sizes[0]) and new == "text")
