"""Strangers who hold connections beside people who use the server, in both ways of running it."""

from __future__ import annotations

import pytest
import requests

from tests.builders.strangers import KINDS, strangers
from tests.e2e.sites import Site

COUNT = 200


@pytest.mark.parametrize("kind", KINDS)
def test_they_hold_nobody_up(site: Site, kind: str) -> None:
    (account,) = site.make_users([""])
    with strangers(site.url, KINDS[kind], COUNT):
        for _ in range(20):  # more than there are threads
            answer = requests.get(
                f"{site.url}/api/users/myself/", headers={"Authorization": f"Token {account.token}"}, timeout=30
            )
            assert (answer.status_code, answer.json()["id"]) == (200, account.id)
