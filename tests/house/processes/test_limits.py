"""What a process may open."""

import subprocess
import sys

import pytest

from tests.server_process import REPOSITORY

pytestmark = pytest.mark.once

CODE = """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (256, min(hard, 4096) if hard > 0 else 4096))
from fl_server.processes.limits import allow_many_files
allow_many_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_a_process_may_open_as_many_files_as_it_is_allowed_to_allow_itself() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    soft, hard = done.stdout.split()
    assert soft == hard
