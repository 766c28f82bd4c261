"""What reports of errors hold, and what not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.collectors import collector
from tests.server_process import REPOSITORY, server_environment

pytestmark = pytest.mark.once

TOKEN = "f3a9c1d27b6e4f508a9b7c6d5e4f3a2b1c0d9e8f"
PASSWORD = "a-Long-password-1"
PERSON = "ada.lovelace@clinic.example"
# A worker that takes a task whose arguments, variables and message are secrets.
FAILING = f"""
import django
django.setup()
from celery.contrib.testing.worker import start_worker
from celery.signals import task_postrun
from fl_server.celery import app
from fl_server_core.log_context import log_scope
import logging, threading

done = threading.Event()

@app.task(name="tests.fail", queue="celery")
def fail(token):
    password = "{PASSWORD}"
    raise RuntimeError(f"{{token}} {{password}} {PERSON}")

task_postrun.connect(lambda **_: done.set(), weak=False)
with start_worker(app, pool="solo", perform_ping_check=False):
    with log_scope(request_id="the-request", user_id="{PERSON}"):
        logging.getLogger("fl_server").error("{PERSON} can't be reached.")
        fail.delay("{TOKEN}")
    assert done.wait(30)
"""
ALL = "['opentelemetry.instrumentation', 'opentelemetry.proto', 'sentry_sdk']"
# redis imports the library itself, where it is installed, but sends nothing.
IMPORTS = """
import sys, django
django.setup()
print(sorted({"opentelemetry.instrumentation", "opentelemetry.proto", "sentry_sdk"} & set(sys.modules)))
"""


def run(script: str, tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = server_environment(tmp_path) | {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development"}
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY,
        env=environment | settings | {"PYTHONPATH": os.fspath(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_task_that_fails_is_reported_with_its_place_and_ids_and_nothing_that_was_said(tmp_path: Path) -> None:
    with collector() as sentry:
        done = run(FAILING, tmp_path, FL_SENTRY_DSN=f"http://key@127.0.0.1:{sentry.port}/1")
        assert done.returncode == 0, done.stderr
        sent = b"\n".join(sentry.received).decode()
        [event] = sentry.events()
    [error] = event["exception"]["values"]
    assert (error["type"], error["stacktrace"]["frames"][-1]["function"]) == ("RuntimeError", "fail")
    assert (event["tags"]["request_id"], event["tags"]["task"]) == ("the-request", "fail")
    assert (event["release"].startswith("fl-server@"), event["environment"]) == (True, "development")
    assert [word for word in (TOKEN, PASSWORD, PERSON) if word in sent] == []
    assert all(word in done.stderr for word in (TOKEN, PASSWORD))  # the log has what the report leaves out


def test_a_server_that_sends_no_traces_and_reports_imports_nothing_for_them(tmp_path: Path) -> None:
    assert run(IMPORTS, tmp_path).stdout.splitlines()[-1] == "[]"
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "FL_SENTRY_DSN": "http://key@127.0.0.1:9/1"}
    assert run(IMPORTS, tmp_path, **traced).stdout.splitlines()[-1] == ALL
    assert run(IMPORTS, tmp_path, **traced, FL_TRACING="false").stdout.splitlines()[-1] == "['sentry_sdk']"
