"""The migrations of this version, and those beside this file."""

from pathlib import Path

from fl_server_core import migrations

__path__ = [str(Path(__file__).parent), *migrations.__path__]
NEWEST = max(path.stem for path in Path(migrations.__path__[0]).glob("[0-9]*.py"))
"""The last migration of this version."""
