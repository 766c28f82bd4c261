"""A server in one process, with its files in a bucket: its probes, its figures, and what is deployed to read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fl_server_api.monitoring.catalogue import figures
from tests.builders.waiting import wait_until
from tests.object_store import ObjectStore, object_store
from tests.promtool import DEPLOYED, RULES, run_promtool
from tests.server_process import REPOSITORY, ServerProcess
from tests.watching import Watched

NAMED_WITHIN = 5.0
TOKEN = "a-token-of-the-test-that-is-long-enough"
FORWARDED = {"X-Forwarded-For": "192.0.2.7"}
DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboards" / "fl-server.json"
DOCUMENT = REPOSITORY / "docs" / "monitoring.md"
SUFFIXES = ("_bucket", "_count", "_sum")
pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="module")
def watched(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    environment = {**store.settings(store.url), "FL_METRICS_TOKEN": TOKEN}
    with ServerProcess(tmp_path_factory.mktemp("server") / "data", environment=environment) as server:
        watched = Watched(server.base_url)
        wait_until("all parts to be well", watched.is_well)
        yield watched


def test_it_is_well_and_every_part_says_so(watched: Watched) -> None:
    answer = watched.get("/readyz?strict")
    parts = answer.json()["parts"]
    assert (answer.status_code, answer.json()["status"], answer.json()["failing"]) == (200, "ok", [])
    workers = {"workers.celery", "workers.notifications", "workers.control"}
    assert set(parts) == {"database", "migrations", "storage", "broker", "beat", "sandbox", *workers}
    assert {name for name, part in parts.items() if part["required"]} == {"database", "migrations", "storage"}
    assert all(part["ok"] is True and part["message"] == "" for part in parts.values())


def test_probes_answer_whatever_the_host_and_only_to_reading(watched: Watched) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert watched.get(path, Host="10.1.2.3:8000").status_code == 200
        assert watched.get(path, Host="10.1.2.3:8000").headers["Cache-Control"] == "no-store"
        assert _status_of(watched, "POST", path) == 405
    assert _status_of(watched, "HEAD", "/livez") == 200


def test_who_comes_through_a_proxy_gets_words_only_and_a_token_gets_all(watched: Watched) -> None:
    assert "detail" in watched.readiness()["parts"]["database"]
    words = watched.get("/readyz", **FORWARDED).json()["parts"]["database"]
    assert set(words) == {"ok", "required", "since", "message"}
    assert watched.get("/metrics", **FORWARDED).status_code == 403
    assert watched.get("/metrics", **FORWARDED, Authorization="Bearer guessed").status_code == 403
    with_token = watched.get("/metrics", **FORWARDED, Authorization=f"Bearer {TOKEN}")
    assert "fl_ready 1.0" in with_token.text


def test_requests_count_by_route_and_not_by_path(watched: Watched) -> None:
    for number in range(3):
        watched.get(f"/api/models/00000000-0000-0000-0000-00000000000{number}/")
    assert watched.value("fl_http_requests_total", route="api/models/<id:model_id>/", status="401") == 3
    assert watched.value("fl_http_request_seconds_count", route="api/models/<id:model_id>/") == 3
    assert "00000000" not in watched.get("/metrics").text


def test_the_figures_are_those_of_the_catalogue(watched: Watched) -> None:
    families = {family.name: family for family in text_string_to_metric_families(watched.get("/metrics").text)}
    known = {figure.name.removesuffix("_total"): figure for figure in figures()}
    assert set(families) == set(known)
    for name, figure in known.items():
        assert families[name].documentation == figure.meaning
        assert all(set(sample.labels) - {"le"} == set(figure.labels) for sample in families[name].samples)


def test_rules_and_dashboard_name_only_figures_that_there_are(watched: Watched) -> None:
    exposed = {figure.name for figure in figures()} | {
        figure.name + suffix for figure in figures() if figure.kind == "histogram" for suffix in SUFFIXES
    }
    expressions = [panel["targets"] for panel in json.loads(DASHBOARD.read_text())["panels"] if "targets" in panel]
    assert len(expressions) > 20
    for text in (RULES.read_text(), (DEPLOYED / "rules-test.yml").read_text(), json.dumps(expressions)):
        named = set(re.findall(r"\bfl_[a-z_]+", text))
        assert named, "no figure is named"
        assert named <= exposed
    parts = set(watched.readiness()["parts"])
    assert set(re.findall(r'part="(\w+)"', RULES.read_text())) | {"workers.celery"} <= parts


def test_each_alert_is_in_the_document_and_the_rules_pass_their_tests() -> None:
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    assert re.findall(r"^\| `(FL\w+)` \|", DOCUMENT.read_text(), re.MULTILINE) == alerts
    run_promtool("check", "rules", "rules.yml")
    run_promtool("test", "rules", "rules-test.yml")
    run_promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_a_bucket_that_stops_and_a_database_that_goes_are_named(
    watched: Watched, store: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert watched.is_well()
    store.process.stop()
    wait_until("the storage to be named", lambda: watched.failing() == ["storage"], NAMED_WITHIN)
    answer = watched.get("/readyz", **FORWARDED)
    assert answer.status_code == 503
    assert str(store.port) not in answer.text
    assert str(store.port) in watched.get("/readyz").text
    assert watched.value("fl_part_up", part="storage") == 0
    store.start()
    wait_until("the storage to be well", watched.is_well)
    database = next(tmp_path_factory.getbasetemp().glob("server*/data/db.sqlite3"))
    away = database.with_name("away")
    database.rename(away)
    wait_until("the database to be named", lambda: watched.failing() == ["database"], NAMED_WITHIN)
    away.rename(database)
    wait_until("all to be well", watched.is_well)


def _status_of(watched: Watched, method: str, path: str) -> int:
    return httpx.request(method, f"{watched.url}{path}", timeout=10.0, trust_env=False).status_code
