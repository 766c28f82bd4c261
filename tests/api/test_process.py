from __future__ import annotations

import subprocess
import sys

LOOK = """
import sys, django
django.setup()
import fl_server.urls, fl_server_api.urls
from django.urls import get_resolver
get_resolver().url_patterns
print("torch" in sys.modules)
"""


def test_the_process_that_serves_the_api_does_not_import_torch() -> None:
    """What torch loads, it runs: that is the sandbox's."""
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr
