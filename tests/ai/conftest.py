from __future__ import annotations

from collections.abc import Iterator

import pytest

from fl_server_ai.sandbox import Sandbox
from tests.ai.sandbox.sandboxes import new_sandbox


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    shared = new_sandbox()
    yield shared
    shared.close()
