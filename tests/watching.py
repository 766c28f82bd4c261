"""What a server says to programs that watch it."""

from __future__ import annotations

from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

INSTANCE = {"job": "fl-server", "instance": "web:8000"}
"""The labels that Prometheus adds."""
WATCHED = ("fl_part_up", "fl_ready", "fl_rows_read")


class Watched:
    """A web process, asked anew on each call: /readyz never takes longer than the guard."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.url = url
        self._headers = headers or {}

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", headers=self._headers | headers, timeout=10.0, trust_env=False)

    def readiness(self) -> dict[str, Any]:
        content: dict[str, Any] = self.get("/readyz").json()
        return content

    def failing(self) -> list[str]:
        names: list[str] = self.readiness()["failing"]
        return names

    def is_well(self) -> bool:
        return bool(self.readiness()["status"] == "ok")

    def samples(self, *names: str) -> dict[str, float]:
        """Of these figures, each series as Prometheus writes it, with the labels that it adds."""
        return {
            _series(sample.name, {**sample.labels, **INSTANCE}): sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name in names
        }

    def value(self, name: str, **labels: str) -> float | None:
        """One figure; of several series with these labels, their sum; None if there are none."""
        found = [
            sample.value
            for family in text_string_to_metric_families(self.get("/metrics").text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None


def _series(name: str, labels: dict[str, str]) -> str:
    written = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{written}}}"
