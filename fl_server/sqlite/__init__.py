"""Django's SQLite backend with a fair queue for writers: docs/decisions/sqlite-writers.md says why."""
