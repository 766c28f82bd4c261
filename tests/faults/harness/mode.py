"""How long the suite takes: `FAULTS=long` is all of it, otherwise it is short enough for every test run."""

from __future__ import annotations

import os

IS_LONG = os.environ.get("FAULTS") == "long"
ROUNDS = 10 if IS_LONG else 6
