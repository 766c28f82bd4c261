"""How pytest-xdist spreads the suite over its workers."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

FAULTS = "tests/faults/"
SITE = "the site of the end-to-end tests"
USERS_OF_THE_SITE = {
    f"tests/e2e/test_{name}.py"
    for name in ("examples_command_line", "last_uploads", "many_participants", "methods", "strangers")
}
"""They share the server of the session. A file that is missing here may start one more, in another worker."""
LONGEST_FIRST = (
    FAULTS,
    "tests/e2e/",
    "tests/house/",
    "tests/site/",
    "tests/api/test_schemathesis.py",
    "tests/api/admin/",
    "tests/ai/",
    "tests/api/",
)
"""The first wait and start servers. As the last, they would keep one worker busy when the others have ended."""


class Groups(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """A worker runs all of a group, in the order in which its tests were collected."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # the most tests first: those of the archive, which take no time

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """The tests of a file belong together, and so do those that share servers of the session."""
    path = nodeid.split("::", 1)[0]
    if path.startswith(FAULTS):
        return FAULTS
    return SITE if path in USERS_OF_THE_SITE else path


def rank(item: pytest.Item) -> int:
    """The lower, the sooner."""
    if group_of(item.nodeid) == SITE:
        return -1
    found = (number for number, path in enumerate(LONGEST_FIRST) if item.nodeid.startswith(path))
    return next(found, len(LONGEST_FIRST))
