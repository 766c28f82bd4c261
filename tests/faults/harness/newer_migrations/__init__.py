"""The migrations of this version, and those beside this file."""

from pathlib import Path

from django.db.migrations import AddField
from django.db.models import CharField

from fl_server_core import migrations

__path__ = [str(Path(__file__).parent), *migrations.__path__]
NEWEST = max(path.stem for path in Path(migrations.__path__[0]).glob("[0-9]*.py"))
"""The last migration of this version."""


def remark(table: str) -> AddField:
    """A column that may not be NULL, with a default in the database."""
    return AddField(table, "remark", CharField(max_length=32, db_default="none"))
