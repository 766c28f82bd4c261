"""Files that are read while they are sent."""

from pathlib import Path

import httpx
import pytest
from fl_server_client import Actor

pytestmark = pytest.mark.once
CONTENT = bytes(range(256)) * 1000


def test_a_file_is_sent_whole_at_every_try_and_its_progress_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(CONTENT)
    bodies: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(request.read())
        return httpx.Response(503) if len(bodies) == 1 else httpx.Response(201, json={"model_id": "m"})

    told: list[tuple[int, int | None]] = []
    with Actor("http://x", pauses=(0.0,), transport=httpx.MockTransport(answer)) as actor:
        assert actor.upload_model(path, "name", progress=lambda done, total: told.append((done, total))) == "m"
    assert [CONTENT in body for body in bodies] == [True, True]
    assert {total for _done, total in told} == {len(CONTENT)}
    done = [done for done, _total in told]
    assert max(done) == len(CONTENT)
    assert 0 < min(done) < len(CONTENT)


def test_a_file_that_is_not_there_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise AssertionError

    with (
        Actor("http://x", transport=httpx.MockTransport(answer)) as actor,
        pytest.raises(FileNotFoundError),
    ):
        actor.upload_model(tmp_path / "none.pt", "name")
