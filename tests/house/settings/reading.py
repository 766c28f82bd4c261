"""Settings, read in a process that has an environment of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.server_process import REPOSITORY, server_environment

READ = """
import json
import re
import sys
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def read_settings(
    data_dir: Path, *names: str, module: str = "fl_server.settings.production", **variables: str
) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", READ, *names],
        cwd=REPOSITORY,
        env=server_environment(data_dir) | {"DJANGO_SETTINGS_MODULE": module} | variables,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    settings: dict[str, Any] = json.loads(done.stdout)
    return settings
