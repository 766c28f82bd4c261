"""Settings of the test suite: the base settings on a temporary data folder.

`FL_TEST_DATABASE` chooses what the suite runs on: `sqlite` (the default: the worker inside the process) or `postgres`
(PostgreSQL and Redis, found through the `TEST_POSTGRES_*` and `TEST_REDIS_LOCATION` variables).
"""

import atexit
import os
import tempfile
from pathlib import Path

from tests.workers import redis_locations, worker_number

_folder = tempfile.TemporaryDirectory(prefix="fl-server-tests-", ignore_cleanup_errors=True)
atexit.register(_folder.cleanup)
DATA_DIR = Path(_folder.name)

# The operator's own settings have no say in the tests.
for _name in [name for name in os.environ if name.startswith(("FL_", "CORS_", "CELERY_", "OTEL_"))]:
    if _name != "FL_TEST_DATABASE":
        del os.environ[_name]
os.environ["FL_DATA_DIR"] = str(DATA_DIR)

FL_TEST_DATABASE = os.environ.get("FL_TEST_DATABASE", "sqlite")
if FL_TEST_DATABASE == "postgres":
    os.environ["FL_POSTGRES_HOST"] = os.environ.get("TEST_POSTGRES_HOST", "127.0.0.1")
    os.environ["FL_POSTGRES_PORT"] = os.environ.get("TEST_POSTGRES_PORT", "5432")
    os.environ["FL_POSTGRES_USER"] = os.environ.get("TEST_POSTGRES_USER", "postgres")
    os.environ["FL_POSTGRES_PASSWD"] = os.environ.get("TEST_POSTGRES_PASSWD", "")
    os.environ["FL_POSTGRES_DBNAME"] = os.environ.get("TEST_POSTGRES_DBNAME", "postgres")
    os.environ["FL_REDIS_LOCATION"] = redis_locations()[worker_number()]

from fl_server.settings.base import *  # noqa: E402, F403 - the environment above must be set first
from fl_server.settings.base import DATABASES, LOGGING  # noqa: E402

# Connections end with their request or task: one that a thread kept would stop the test database from being dropped.
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"]["CONN_HEALTH_CHECKS"] = False
if FL_TEST_DATABASE == "sqlite":
    # A file: threads see nothing of a database in memory.
    DATABASES["default"]["TEST"] = {"NAME": str(DATA_DIR / "test.sqlite3")}
else:
    # Of this run alone: two runs at the same time would drop each other's database.
    DATABASES["default"]["TEST"] = {"NAME": f"test_fl_server_{os.getpid()}"}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGGING["handlers"].pop("file", None)
LOGGING["root"]["handlers"] = ["stderr"]
