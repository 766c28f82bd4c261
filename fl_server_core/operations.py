"""Operations for migrations that run while other processes serve (docs/upgrading.md)."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.migrations.operations import AddIndex


class AddIndexWithoutLock(AddIndex):
    """Adds an index to a table that may be large. On PostgreSQL, others go on writing to it meanwhile.

    The migration needs `atomic = False`, and holds this operation alone: what is interrupted can then be run again.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """Make the index; on PostgreSQL after what an interrupted attempt has left."""
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        if schema_editor.connection.in_atomic_block:
            raise NotSupportedError("Set atomic = False on the migration: PostgreSQL makes this index outside of one.")
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            name = schema_editor.quote_name(self.index.name)
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            schema_editor.add_index(model, self.index, concurrently=True)

    def describe(self) -> str:
        """What `migrate --plan` prints."""
        return f"{super().describe()}, without a lock"
