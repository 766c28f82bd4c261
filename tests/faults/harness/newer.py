"""Settings of a version that is newer than this one: it needs two migrations more, and knows the same of the rest."""

from fl_server.settings.development import *  # noqa: F403 - all of them, and one more

MIGRATION_MODULES = {"fl_server_core": "tests.faults.harness.newer_migrations"}
