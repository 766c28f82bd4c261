"""Nothing is replaced under a reader: what is downloaded while rounds close is one whole version."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from tests.api.conftest import People
from tests.api.versions import close_a_round, versions, world_of
from tests.builders.clients import client_of, token_of
from tests.builders.files import linear
from tests.builders.storage import body_of
from tests.builders.world import World

READERS, READS = 4, 50


def read(world: World, token: str, number: int) -> list[tuple[str, str]]:
    """Download the model so often; returns ETag and SHA-256 of each body. One in two is made of two halves."""
    client = client_of()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    path, found = f"/api/models/{world.training.model_id}/", []
    try:
        for place in range(number):
            first = client.get(path, headers={"Range": "bytes=0-999"} if place % 2 else {})
            content, tag = body_of(first), first["ETag"]
            if first.status_code == 206:
                rest = client.get(path, headers={"Range": "bytes=1000-", "If-Range": tag})
                content = (content if rest.status_code == 206 else b"") + body_of(rest)
                tag = rest["ETag"]
            found.append((tag, hashlib.sha256(content).hexdigest()))
    finally:
        connection.close()
    return found


@pytest.mark.django_db(transaction=True)
def test_every_download_is_one_whole_version(people: People) -> None:
    world = world_of(people, module=linear(0.25), target_num_updates=10_000, options={"skip_model_tests": True})
    token, rounds = token_of(people.participant.user), 0
    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read, world, token, READS) for _ in range(READERS)]
        while not all(reader.done() for reader in readers):
            rounds += 1
            close_a_round(world, float(rounds))
    found = [pair for reader in readers for pair in reader.result()]
    digests = {row["sha256"] for row in versions(people.actor, world.model)}
    assert len(found) == READERS * READS
    for tag, digest in found:
        assert tag == f'"{digest}"'
        assert digest in digests
    assert rounds > 1
    assert len({digest for _tag, digest in found}) > 1
