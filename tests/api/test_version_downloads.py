"""Conditional and partial downloads: who has the newest file is told so, and a download that broke off goes on."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.utils.http import http_date

from fl_server_api.ranges import wanted_part
from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.files import scripted_linear
from tests.builders.rows import make_update
from tests.builders.storage import body_of, file_name_of, lose_file, make_newer

OLD, NEW = scripted_linear(), scripted_linear(7.0)
SIZE = len(OLD)


def tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _without_id(answer: Any) -> dict[str, str]:
    """The headers, but for the one that each request has of its own."""
    return {name: value for name, value in answer.items() if name != "X-Request-ID"}


@pytest.fixture
def download(people: People, model: GlobalModel) -> Any:
    """A request of the actor's for the model, with headers by their names."""

    def request(method: str = "get", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return getattr(people.actor.client, method)(f"/api/models/{model.pk}/", headers=named)

    return request


def test_a_download_names_its_bytes_and_asks_caches_to_look_again(download: Any, model: GlobalModel) -> None:
    answer = download()
    assert (answer.status_code, body_of(answer)) == (200, OLD)
    version = model.versions.get()
    assert answer["ETag"] == tag(OLD) == f'"{version.digest}"'
    assert answer["Last-Modified"] == http_date(version.created_at.timestamp())
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["Cache-Control"] == "private, no-cache"


def test_head_tells_the_same_without_the_file(download: Any) -> None:
    whole, head = download(), download("head")
    body_of(whole)
    assert (head.status_code, head.content) == (200, b"")
    assert _without_id(head) == _without_id(whole)


def test_head_does_not_open_the_file(download: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default_storage, "open", None)
    head = download("head", Range="bytes=0-9")
    assert (head.status_code, head["Content-Length"]) == (200, str(SIZE))


@pytest.mark.parametrize(
    "sent",
    [tag(OLD), f'"another", {tag(OLD)}', f"W/{tag(OLD)}", "*"],
    ids=["alone", "among others", "weak", "any"],  # the bytes of a script differ from process to process
)
@pytest.mark.parametrize("method", ["get", "head"])
def test_who_has_the_newest_version_is_told_so(
    download: Any, model: GlobalModel, sent: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(default_storage, "open", None)  # nobody looks into the storage for that
    answer = download(method, If_None_Match=sent)
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tag(OLD))
    assert "Content-Length" not in answer or answer["Content-Length"] == "0"
    monkeypatch.undo()
    make_newer(model, NEW)
    newer = download(If_None_Match=tag(OLD))
    assert (newer.status_code, newer["ETag"], body_of(newer)) == (200, tag(NEW), NEW)


def test_a_date_serves_where_no_tag_is_sent(download: Any, model: GlobalModel) -> None:
    made = model.versions.get().created_at
    assert download(If_Modified_Since=http_date(made.timestamp())).status_code == 304
    before = http_date((made - timedelta(seconds=2)).timestamp())
    assert body_of(download(If_Modified_Since=before)) == OLD
    assert body_of(download(If_Modified_Since="yesterday")) == OLD
    # A tag says more than a date.
    both = download(If_None_Match='"another"', If_Modified_Since=http_date(made.timestamp()))
    assert (both.status_code, body_of(both)) == (200, OLD)


def test_a_condition_that_the_file_does_not_meet_is_a_412(download: Any, model: GlobalModel) -> None:
    made = model.versions.get().created_at
    refused = download(If_Match='"another"')
    sentence = "The file has changed: it doesn't match your condition."
    assert (refused.status_code, refused.json()) == (412, {"detail": sentence})
    assert download(If_Match=f"W/{tag(OLD)}").status_code == 412  # a weak tag names no bytes
    assert download(If_Unmodified_Since=http_date((made - timedelta(seconds=2)).timestamp())).status_code == 412
    assert body_of(download(If_Match=tag(OLD))) == OLD
    assert body_of(download(If_Unmodified_Since=http_date(made.timestamp()))) == OLD


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=0-0", 0, 0),
        ("bytes=100-", 100, SIZE - 1),
        ("bytes=-10", SIZE - 10, SIZE - 1),
        (f"bytes=-{SIZE + 5}", 0, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        (f"bytes=5-{SIZE * 9}", 5, SIZE - 1),
        (f"bytes=5-{'9' * 6000}", 5, SIZE - 1),
        (f"bytes=-{'9' * 6000}", 0, SIZE - 1),
        (f"bytes={'0' * 6000}5-", 5, SIZE - 1),
        ("Bytes = 3 - 4 ", 3, 4),
    ],
)
def test_a_part_is_sent_where_one_is_asked_for(download: Any, asked: str, first: int, last: int) -> None:
    answer = download(Range=asked)
    assert (answer.status_code, body_of(answer)) == (206, OLD[first : last + 1])
    assert answer["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer["Content-Length"] == str(last + 1 - first)
    assert (answer["ETag"], answer["Content-Type"]) == (tag(OLD), "application/octet-stream")


@pytest.mark.parametrize(
    "asked",
    ["bytes=0-1,4-5", "bytes=9-3", "lines=1-2", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=٣-"],
)
def test_what_is_not_one_range_of_bytes_means_the_whole_file(download: Any, asked: str) -> None:
    answer = download(Range=asked)
    assert (answer.status_code, body_of(answer)) == (200, OLD)
    assert "Content-Range" not in answer


@pytest.mark.parametrize(
    "asked", [f"bytes={SIZE}-", f"bytes={SIZE + 7}-{SIZE + 9}", "bytes=-0", f"bytes={'9' * 6000}-"]
)
def test_bytes_that_the_file_does_not_have_are_a_416(download: Any, asked: str) -> None:
    answer = download(Range=asked)
    assert (answer.status_code, answer.json()) == (416, {"detail": f"The file has {SIZE} bytes."})
    assert answer["Content-Range"] == f"bytes */{SIZE}"


def test_of_an_empty_file_there_is_no_part() -> None:
    assert wanted_part("bytes=0-", 0) == range(0, 0)
    assert wanted_part("", 0) is None


def test_a_download_that_broke_off_goes_on_only_with_the_same_file(download: Any, model: GlobalModel) -> None:
    begun = OLD[:500]
    rest = download(Range="bytes=500-", If_Range=tag(OLD))
    assert (rest.status_code, begun + body_of(rest)) == (206, OLD)
    make_newer(model, NEW)
    whole = download(Range="bytes=500-", If_Range=tag(OLD))
    assert (whole.status_code, whole["ETag"], body_of(whole)) == (200, tag(NEW), NEW)
    assert body_of(download(Range="bytes=500-", If_Range=f"W/{tag(NEW)}")) == NEW


def test_a_date_does_not_prove_that_the_file_is_the_same(download: Any, model: GlobalModel) -> None:
    """Two versions may be of the same second."""
    made = http_date(model.versions.get().created_at.timestamp())
    answer = download(Range="bytes=500-", If_Range=made)
    assert (answer.status_code, body_of(answer)) == (200, OLD)


def test_a_satisfied_condition_comes_before_the_range(download: Any) -> None:
    assert download(Range="bytes=0-9", If_None_Match=tag(OLD)).status_code == 304
    assert body_of(download(Range="bytes=0-9", If_Match=tag(OLD))) == OLD[:10]


@pytest.mark.parametrize("direct", ["1", "true", "0"])
def test_files_of_a_folder_are_sent_whoever_asks_to_be_led_to_them(
    people: People, model: GlobalModel, direct: str
) -> None:
    sent = people.actor.client.get(f"/api/models/{model.pk}/", {"direct": direct})
    assert (sent.status_code, body_of(sent)) == (200, OLD)
    assert people.outsider.client.get(f"/api/models/{model.pk}/", {"direct": direct}).status_code == 403
    assert people.actor.client.get(f"/api/models/{model.pk}/", {"direct": "perhaps"}).status_code == 400


def test_an_update_and_a_preprocessing_have_tags_of_their_own(
    people: People, model: GlobalModel, training: Training
) -> None:
    update = make_update(model, people.participant.user)
    model.preprocessing = scripted_linear(3.0)
    model.save()
    client = people.actor.client
    for path in (f"/api/models/{update.pk}/", f"/api/models/{model.pk}/preprocessing/"):
        answer = client.get(path)
        content = body_of(answer)
        assert answer["ETag"] not in ("", tag(OLD))
        assert client.get(path, headers={"If-None-Match": answer["ETag"]}).status_code == 304
        part = client.get(path, headers={"Range": "bytes=10-19", "If-Range": answer["ETag"]})
        assert (part.status_code, body_of(part)) == (206, content[10:20])
        assert client.head(path)["Content-Length"] == str(len(content))


def test_conditions_open_nothing_to_those_who_may_not_read(people: People, model: GlobalModel) -> None:
    path = f"/api/models/{model.pk}/"
    for headers in ({"If-None-Match": tag(OLD)}, {"Range": "bytes=0-9"}):
        assert people.outsider.client.get(path, headers=headers).status_code == 403
        assert people.nobody.get(path, headers=headers).status_code == 401
    assert people.outsider.client.head(path).status_code == 403


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_file_that_is_lost_is_a_404(download: Any, model: GlobalModel, method: str) -> None:
    lose_file(model)
    assert download(method).status_code == 404


def test_a_version_whose_file_goes_before_it_is_opened_is_told_to_be_gone(
    download: Any, model: GlobalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before the current version is kept, too: for this, two rounds close between a look and an opening."""
    gone, looked = file_name_of(model), default_storage.open

    def open_late(name: str, mode: str = "rb") -> Any:
        if name == gone:
            make_newer(model, NEW)
            raise FileNotFoundError(name)
        return looked(name, mode)

    monkeypatch.setattr(default_storage, "open", open_late)
    answer = download()
    sentence = f"The file model-{model.pk}.pt is no longer in the storage. Ask for it again."
    assert (answer.status_code, answer.json()) == (404, {"detail": sentence})
    assert body_of(download()) == NEW
