"""Files in an S3-compatible bucket instead of a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
import torch

from fl_server_demo.local_server import free_port
from tests.builders.files import saved
from tests.e2e.people import People
from tests.e2e.sites import Site, embedded
from tests.e2e.test_methods import check, start, student
from tests.faults.harness.processes import Process, accepts_connections
from tests.server_process import REPOSITORY

BUCKET = "models"
PARTICIPANTS = 3
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("embedded_pass")]


class ObjectStore:
    """moto's server, which speaks S3 and keeps objects in its memory."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        environment = {"PATH": os.environ["PATH"]}
        self.process = Process(
            "moto",
            command,
            folder=folder,
            environment=environment,
            directory=REPOSITORY,
            is_ready=lambda _process: accepts_connections(self.port),
        )
        self.url = f"http://127.0.0.1:{self.port}"
        login = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        self._client: Any = boto3.client("s3", endpoint_url=self.url, region_name="eu-central-1", **login)

    def start(self) -> None:
        """With an empty bucket."""
        self.process.start()
        self._client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    @property
    def settings(self) -> dict[str, str]:
        return {
            "FL_S3_BUCKET": BUCKET,
            "FL_S3_ENDPOINT_URL": self.url,
            "FL_S3_REGION": "eu-central-1",
            "FL_S3_ACCESS_KEY": "key",
            "FL_S3_SECRET_KEY": "secret",
        }

    def objects(self) -> dict[str, int]:
        """Each object's name and size in bytes."""
        return {one["Key"]: one["Size"] for one in self._client.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    store = ObjectStore(tmp_path)
    store.start()
    yield store
    store.process.stop()


@pytest.fixture
def site(store: ObjectStore, tmp_path: Path) -> Iterator[Site]:
    with embedded(tmp_path, environment=store.settings) as (running, _server):
        yield running


def test_trainings_complete_and_leave_no_object_that_nobody_names(site: Site, store: ObjectStore) -> None:
    with People(site, PARTICIPANTS, student) as people:
        trained = [start(people, 0, "FedAvg", "SWAG"), start(people, 1, "FedDC", "MC_DROPOUT")]
        for one in trained:
            check(people, one)
        # Three versions of each of two models, and both moments of the later two versions of one of them.
        assert len(store.objects()) == 10
        weights = people.actor.call("GET", f"/models/{trained[0].model}/").content
        assert len(weights) in store.objects().values()
        for one in trained:
            people.actor.call("DELETE", f"/models/{one.model}/")
        assert store.objects() == {}


def test_a_download_from_a_bucket_goes_on_where_it_broke_off(site: Site) -> None:
    [account] = site.make_users([""])
    login, content = {"Authorization": f"Token {account.token}"}, saved(torch.nn.Sequential(torch.nn.Linear(99, 99)))
    about = {"name": "name", "description": "description"}
    with httpx.Client(base_url=f"{site.url}/api", headers=login, timeout=60.0, trust_env=False) as http:
        model = http.post("/models/", data=about, files={"model_file": ("model.pt", content)}).json()["model_id"]
        path = f"/models/{model}/"
        head = http.head(path)
        assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(content)))
        tag = head.headers["ETag"]
        begun = http.get(path, headers={"Range": "bytes=0-29999"})
        rest = http.get(path, headers={"Range": "bytes=30000-", "If-Range": tag})
        assert (begun.status_code, rest.status_code, begun.content + rest.content) == (206, 206, content)
        assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
        assert http.get(path).content == content


def test_a_bucket_that_is_away_is_a_503_and_comes_back(site: Site, store: ObjectStore) -> None:
    [account] = site.make_users([""])
    login = {"Authorization": f"Token {account.token}"}
    upload = {"model_file": ("model.pt", saved(torch.nn.Sequential(torch.nn.Linear(2, 2))))}
    about = {"name": "name", "description": "description"}
    with httpx.Client(base_url=f"{site.url}/api", headers=login, timeout=60.0, trust_env=False) as http:
        model = http.post("/models/", data=about, files=upload).json()["model_id"]
        store.process.kill()
        for answer in (
            http.get(f"/models/{model}/"),
            http.post("/models/", data=about, files=upload),
            http.post("/inference/", json={"model_id": model, "model_input": [[1.0, 2.0]]}),
        ):
            assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "5"), answer.text
            assert "file storage" in answer.json()["detail"]
        assert http.get(f"/models/{model}/metadata/").status_code == 200
        store.start()  # its memory is gone
        assert http.post("/models/", data=about, files=upload).status_code == 201
        lost = http.get(f"/models/{model}/")
        assert (lost.status_code, "no longer in the storage" in lost.text) == (404, True)
