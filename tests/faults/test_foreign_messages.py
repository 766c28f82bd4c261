"""What others have put into the server's Redis, and a Redis that answers and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import redis

from tests.builders.waiting import wait_until
from tests.faults.harness.cluster import WORKERS, Cluster
from tests.faults.harness.counting import injected
from tests.faults.harness.run import Run
from tests.watching import Watched

QUEUES = ("celery", "notifications", "control")
PROPERTIES = {"delivery_tag": "a-tag", "delivery_info": {"exchange": "", "routing_key": "celery"}}
FOREIGN = (
    b"\x80\x04 no text",
    b"no JSON",
    b"17",
    b"null",
    b"{}",
    json.dumps({"body": "e30=", "headers": {}}).encode(),
    json.dumps({"body": "e30=", "headers": None, "properties": PROPERTIES}).encode(),
    json.dumps({"body": {}, "headers": {}, "properties": PROPERTIES}).encode(),
    json.dumps({"body": "e30=", "headers": {}, "properties": {**PROPERTIES, "delivery_info": {}}}).encode(),
    # The last one has all that a message has, in a form that cannot be decoded.
    json.dumps({"body": "e", "headers": {}, "properties": {**PROPERTIES, "body_encoding": "base64"}}).encode(),
)


@contextmanager
def surviving(cluster: Cluster) -> Iterator[redis.Redis]:
    """A connection to the cluster's Redis. All workers that were there at first are there in the end."""
    cluster.wait_for_workers()
    before = {name: cluster[name].pid for name in WORKERS}
    with closing(redis.Redis.from_url(cluster.redis_url)) as connection:
        yield connection
    assert {name: cluster[name].pid for name in WORKERS if cluster[name].is_alive} == before


def test_messages_of_others_end_no_worker_and_cost_no_round(cluster: Cluster) -> None:
    with surviving(cluster) as connection:
        run = Run(cluster)
        for message in FOREIGN:
            for queue in QUEUES:
                connection.rpush(queue, message)
                injected("message of another program")
        connection.hset("unacked", "a-tag-of-another", "no JSON")
        connection.zadd("unacked_index", {"a-tag-of-another": 1})
        connection.hset("fl_server.heartbeats:postgres", "of-another", "no JSON")
        run.finish()
        run.check()
        dropped = len(FOREIGN) * len(QUEUES)
        wait_until("all of them to be dropped", lambda: _dropped(cluster) >= dropped)
        assert Watched(f"http://127.0.0.1:{cluster.ports['web-1']}").is_well()


@pytest.mark.parametrize("refusal", ["out of memory", "a replica"])
def test_a_redis_that_refuses_ends_no_worker_and_costs_no_round(cluster: Cluster, refusal: str) -> None:
    watched = Watched(f"http://127.0.0.1:{cluster.ports['web-1']}")
    with surviving(cluster) as connection:
        run = Run(cluster)
        try:
            if refusal == "a replica":
                connection.replicaof("127.0.0.1", "1")
            else:
                connection.config_set("maxmemory", 1)
            injected(f"Redis is {refusal}")
            wait_until("the workers to be missed", lambda: "workers.control" in watched.failing())
        finally:
            connection.replicaof("NO", "ONE")
            connection.config_set("maxmemory", 0)
        wait_until("all parts to be well", watched.is_well)
        run.finish()
        run.check()


def _dropped(cluster: Cluster) -> int:
    return sum(cluster[name].output().count("isn't one of this server's") for name in WORKERS)
