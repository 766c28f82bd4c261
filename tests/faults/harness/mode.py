"""How long the suite takes: `FAULTS=long` is all of it, otherwise it is short enough for every test run."""

from __future__ import annotations

import os

import pytest

IS_LONG = os.environ.get("FAULTS") == "long"
ROUNDS = 10 if IS_LONG else 6

# For tests whose code under test is the same on both kinds of servers, or nearly.
ON_BOTH_WHEN_LONG = pytest.mark.parametrize("site", ["cluster", "laptop"] if IS_LONG else ["cluster"], indirect=True)
