"""Files in a bucket of a real server of S3 instead of a folder."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
from fl_server_client import Actor

from tests.builders.files import saved
from tests.builders.waiting import wait_until
from tests.e2e.people import People
from tests.e2e.sites import Site, embedded
from tests.e2e.test_methods import check, start, student
from tests.faults.harness.ledger import SqliteDatabase
from tests.object_store import BUCKET, ObjectStore, Relay, object_store, relay

PARTICIPANTS = 3
PREFIX = "servers/one/"
SIDE = 2400
"""Of a layer of 23 MB, five parts of at most 5 MB."""
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("embedded_pass")]


@dataclass(frozen=True)
class House:
    """A server, its bucket, and the ways that the server and its clients have there."""

    site: Site
    store: ObjectStore
    inside: Relay
    outside: Relay
    folder: Path

    def forget_copies(self) -> None:
        """As a machine that has just been set up."""
        shutil.rmtree(self.folder / "var" / "tmp" / "copies", ignore_errors=True)
        self.inside.forget()
        self.outside.forget()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    with object_store(folder) as store, relay(store) as inside, relay(store) as outside:
        settings = store.settings(inside.url) | {
            "FL_S3_PUBLIC_ENDPOINT_URL": outside.url,
            "FL_S3_PREFIX": PREFIX,
            "FL_S3_PART_MB": "5",
        }
        with embedded(folder, environment=settings) as (running, _server):
            yield House(running, store, inside, outside, folder)


@pytest.fixture
def site(house: House) -> Site:
    return house.site


@pytest.fixture
def store(house: House) -> ObjectStore:
    return house.store


@dataclass(frozen=True)
class Uploaded:
    actor: Actor
    http: httpx.Client
    id: str
    content: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@pytest.fixture
def model(house: House, tmp_path: Path) -> Iterator[Uploaded]:
    """One of 23 MB, of which this machine has no copy."""
    [account] = house.site.make_users([""])
    content = saved(torch.nn.Sequential(torch.nn.Linear(SIDE, SIDE)))
    (tmp_path / "model.pt").write_bytes(content)
    login = {"Authorization": f"Token {account.token}"}
    with (
        Actor(house.site.url, token=account.token, direct=True, pauses=(0.0, 0.0)) as actor,
        httpx.Client(base_url=f"{house.site.url}/api", headers=login, timeout=60.0, trust_env=False) as http,
    ):
        found = Uploaded(actor, http, actor.upload_model(tmp_path / "model.pt", "large"), content)
        house.forget_copies()
        yield found


def test_trainings_complete_and_leave_no_object_that_nobody_names(site: Site, store: ObjectStore) -> None:
    with People(site, PARTICIPANTS, student) as people:
        trained = [start(people, 0, "FedAvg", "SWAG"), start(people, 1, "FedDC", "MC_DROPOUT")]
        for one in trained:
            check(people, one)
        # Three versions of each of two models, and both moments of the later two versions of one of them.
        assert len(store.objects()) == 10
        assert all(name.startswith(f"{PREFIX}models/") for name in store.objects())
        weights = people.actor.call("GET", f"/models/{trained[0].model}/").content
        assert len(weights) in store.objects().values()
        for one in trained:
            people.actor.call("DELETE", f"/models/{one.model}/")
        assert store.objects() == {}
        assert store.unfinished() == []


def test_a_large_model_goes_in_parts_and_a_download_that_broke_off_costs_the_bucket_what_is_missing(
    house: House, model: Uploaded
) -> None:
    [(name, size)] = [one for one in house.store.objects().items() if one[1] == len(model.content)]
    found = house.store.client.head_object(Bucket=BUCKET, Key=name)
    assert (found["ETag"][-3:], found["Metadata"]["sha256"]) == ('-5"', model.digest)
    path, http = f"/models/{model.id}/", model.http
    head = http.head(path)
    tag = head.headers["ETag"]
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(size))
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
    house.inside.forget()
    rest = http.get(path, headers={"Range": f"bytes={size - 1000}-", "If-Range": tag})
    assert (rest.status_code, rest.content) == (206, model.content[-1000:])
    assert house.inside.received < 10_000
    for _ in range(2):
        assert http.get(path).content == model.content
    assert size < house.inside.received < size + 50_000
    tensors = http.get(path, params={"format": "safetensors", "direct": "1"})  # made now, so it can't be led there
    assert (tensors.status_code, len(tensors.content) > size - 10_000) == (200, True)
    assert house.inside.received < size + 50_000


def test_the_client_package_fetches_from_the_bucket_and_goes_on_where_it_broke_off(
    house: House, model: Uploaded, tmp_path: Path
) -> None:
    led = model.http.get(f"/models/{model.id}/", params={"direct": "1"})
    assert (led.status_code, led.headers["ETag"], led.headers["Cache-Control"]) == (
        302,
        f'"{model.digest}"',
        "no-store",
    )
    assert led.headers["Location"].startswith(f"{house.outside.url}/{BUCKET}/{PREFIX}")
    assert "X-Amz-Expires=300" in led.headers["Location"]
    house.outside.cut = 9 * 2**20
    model.actor.download_to(tmp_path / "got.pt", model.id)
    assert (tmp_path / "got.pt").read_bytes() == model.content
    first, second = house.outside.asked
    assert b"authorization" not in (first + second).lower()
    assert b"\r\nrange: bytes=" in second.lower()
    assert house.outside.received < 1.3 * len(model.content)
    assert house.inside.received < 20_000
    outsider = httpx.Client(base_url=f"{house.site.url}/api", trust_env=False)
    with outsider:
        assert outsider.get(f"/models/{model.id}/?direct=1").status_code == 401
    trail = SqliteDatabase(house.folder / "var" / "db.sqlite3")
    query = "SELECT object_id FROM fl_server_core_auditentry WHERE verb = 'download' AND status = 302"
    wait_until("the trail to tell of the downloads", lambda: (model.id,) in trail.rows(query))


def test_where_the_bucket_is_out_of_reach_the_server_sends_the_file(house: House, model: Uploaded) -> None:
    house.outside.refuses = True
    try:
        assert model.actor.download(model.id) == model.content
    finally:
        house.outside.refuses = False
    assert house.outside.received == 0


def test_a_bucket_that_is_away_is_a_503_and_comes_back(house: House, site: Site, store: ObjectStore) -> None:
    [account] = site.make_users([""])
    login = {"Authorization": f"Token {account.token}"}
    upload = {"model_file": ("model.pt", saved(torch.nn.Sequential(torch.nn.Linear(2, 2))))}
    about = {"name": "name", "description": "description"}
    with httpx.Client(base_url=f"{site.url}/api", headers=login, timeout=60.0, trust_env=False) as http:
        model = http.post("/models/", data=about, files=upload).json()["model_id"]
        house.forget_copies()
        store.process.kill()
        for answer in (
            http.get(f"/models/{model}/"),
            http.post("/models/", data=about, files=upload),
            http.post("/inference/", json={"model_id": model, "model_input": [[1.0, 2.0]]}),
        ):
            assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5"), answer.text
            assert "file storage" in answer.json()["detail"]
        assert http.get(f"/models/{model}/metadata/").status_code == 200
        store.start()
        assert http.post("/models/", data=about, files=upload).status_code == 201
        assert http.get(f"/models/{model}/").status_code == 200
        for name in store.objects():
            store.client.delete_object(Bucket=BUCKET, Key=name)
        house.forget_copies()
        for query in ("", "?direct=1"):
            lost = http.get(f"/models/{model}/{query}")
            assert (lost.status_code, "no longer in the storage" in lost.text) == (404, True)
