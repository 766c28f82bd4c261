"""Prometheus' own tool, which checks and tests alert rules. `make promtool` unpacks Debian's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest
import yaml

from tests.server_process import REPOSITORY

DEPLOYED = REPOSITORY / "deploy" / "prometheus"
RULES = DEPLOYED / "rules.yml"
MISSING = "promtool is not installed: `make promtool` unpacks it."
MINUTES = 7
"""Longer than any rule about a part waits."""


def promtool() -> str:
    """Where it is; skips the test, or fails where REQUIRE_SERVICES is set, if it is nowhere."""
    beside = str(Path(sys.executable).parent / "promtool")
    found = shutil.which(beside) or shutil.which("promtool")
    if found is None:
        assert not os.environ.get("REQUIRE_SERVICES"), MISSING
        pytest.skip(MISSING)
    return found


def run_promtool(*arguments: str) -> None:
    """AssertionError with all that it says if it is not content."""
    done = subprocess.run(
        [promtool(), *arguments], cwd=DEPLOYED, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def check_alerts(folder: Path, scrapes: Mapping[str, tuple[Mapping[str, float], Collection[str]]]) -> None:
    """Do the deployed rules, on figures that stay as they were scraped, give these alerts and no others?

    scrapes: by name, the samples as Prometheus writes them, with their values; and the names of the alerts.
    """
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": one, "values": f"{value:g}x{2 * MINUTES}"} for one, value in samples.items()],
            "promql_expr_test": [
                {
                    "expr": 'group by (alertname) (ALERTS{alertstate="firing"})',
                    "eval_time": f"{MINUTES}m",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(alerts)],
                }
            ],
        }
        for name, (samples, alerts) in scrapes.items()
    ]
    file = folder / "scraped.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    run_promtool("test", "rules", str(file))
