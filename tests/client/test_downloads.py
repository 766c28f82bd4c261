"""Downloads that break off, against a server that is played by the test."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fl_server_client import Client, Damaged, Refused, Unreachable

pytestmark = pytest.mark.once
CONTENT = bytes(range(256)) * 40
TAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


class Broken(httpx.SyncByteStream):
    """Sends some bytes, then loses the connection."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        raise httpx.ReadError("connection lost")


class PlayedFile:
    """A file that arrives in pieces of `piece` bytes, each over a connection of its own."""

    def __init__(self, content: bytes = CONTENT, *, piece: int, tag: str = TAG, ranges: bool = True) -> None:
        self.content, self.piece, self.tag, self.ranges = content, piece, tag, ranges
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        wanted, condition = request.headers.get("Range", ""), request.headers.get("If-Range", "")
        self.asked.append((wanted, condition))
        start = (
            int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges and condition == self.tag else 0
        )
        rest = self.content[start:]
        stream: httpx.SyncByteStream = httpx.ByteStream(rest) if len(rest) <= self.piece else Broken(rest[: self.piece])
        return httpx.Response(206 if start else 200, headers={"ETag": self.tag}, stream=stream)


def client(played: PlayedFile, pauses: tuple[float, ...] = (0.0, 0.0)) -> Client:
    return Client("http://server", token="key", pauses=pauses, transport=httpx.MockTransport(played))


def test_a_download_goes_on_where_it_broke_off() -> None:
    played = PlayedFile(piece=4000)
    assert client(played).download("m1") == CONTENT
    assert played.asked == [("", ""), ("bytes=4000-", TAG), ("bytes=8000-", TAG)]


def test_more_breaks_than_tries_are_survived_while_bytes_arrive() -> None:
    played = PlayedFile(piece=1000)
    assert client(played, pauses=(0.0,)).download("m1") == CONTENT
    assert len(played.asked) == 11


def test_a_server_without_ranges_is_asked_for_the_whole_again() -> None:
    played = PlayedFile(piece=4000, ranges=False)
    with pytest.raises(Unreachable, match="connection lost"):
        client(played, pauses=(0.0,)).download("m1")
    played.piece = len(CONTENT)
    assert client(played).download("m1") == CONTENT


def test_a_file_that_changed_in_between_begins_anew() -> None:
    played = PlayedFile(piece=4000)
    other = b"other" * 1000

    def pause(request: httpx.Request) -> httpx.Response:
        if len(played.asked) == 1:
            played.content, played.tag = other, f'"{hashlib.sha256(other).hexdigest()}"'
            played.piece = len(other)
        return played(request)

    changing = Client("http://server", pauses=(0.0,), transport=httpx.MockTransport(pause))
    assert changing.download("m1") == other


def test_bytes_that_are_not_those_announced_are_refused() -> None:
    played = PlayedFile(CONTENT[:-1] + b"x", piece=10**6)
    with pytest.raises(Damaged, match="SHA-256"):
        client(played).download("m1")


def test_a_tag_that_is_no_digest_is_not_compared() -> None:
    assert client(PlayedFile(piece=10**6, tag='"abc"')).download("m1") == CONTENT


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"older")
    with pytest.raises(Unreachable):
        client(PlayedFile(piece=0), pauses=()).download_to(path, "m1")
    assert [one.name for one in tmp_path.iterdir()] == ["model.pt"]
    assert path.read_bytes() == b"older"
    client(PlayedFile(piece=4000)).download_to(path, "m1")
    assert path.read_bytes() == CONTENT


def test_a_refusal_is_told_with_the_servers_sentence() -> None:
    answer = httpx.Response(400, json={"detail": "Model m1 not found."})
    refusing = Client("http://server", transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(Refused, match=r"400: Model m1 not found\."):
        refusing.download("m1")


def test_version_and_format_are_asked_for() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(str(request.url))
        return httpx.Response(200, content=b"x")

    asking = Client("http://server", transport=httpx.MockTransport(answer))
    asking.download("m1", version=3, form="safetensors")
    asking.download("m1")
    assert seen == ["http://server/api/models/m1/?version=3&format=safetensors", "http://server/api/models/m1/"]


def test_the_progress_of_a_download_that_broke_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    played = PlayedFile(piece=3000)
    with Client("http://x", pauses=(0.0,) * 9, transport=httpx.MockTransport(played)) as client:
        client.download_to(tmp_path / "model.pt", "m", progress=lambda done, total: told.append((done, total)))
    assert [done for done, _total in told] == sorted({3000, 6000, 9000, len(CONTENT)})
    assert {total for _done, total in told} <= {len(CONTENT), None}
