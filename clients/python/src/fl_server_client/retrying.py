"""How long to wait before a request is sent again."""

from __future__ import annotations

import random

import httpx

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)
"""Seconds between tries. Together a minute and a half: longer than a server needs to restart."""
FIRST_PAUSES = (0.5, 1.0)
"""For the first request: whoever mistyped the server's address shouldn't have to wait."""
LONGEST = 60.0
AGAIN = 30.0
"""Before work that was given up after all tries is taken up again."""


def with_jitter(pause: float, response: httpx.Response | None) -> float:
    """Up to half as long again, so that clients don't return all at once; at least as long as `Retry-After` says."""
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    least = min(float(asked), LONGEST) if asked.isascii() and asked.isdigit() else 0.0
    return max(pause, least) * random.uniform(1.0, 1.5)


def may_help(response: httpx.Response) -> bool:
    """Could the same request succeed later?"""
    return (response.is_server_error and response.status_code != 507) or response.status_code in (408, 429)
