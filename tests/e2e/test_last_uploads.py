"""The last two uploads of a round, at once."""

from __future__ import annotations

import io
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import requests
import torch
from fl_server_client import Actor

from tests.builders.files import scripted_linear
from tests.builders.waiting import wait_until
from tests.e2e.sites import Account, Site

TRIALS = 50
PATIENCE = 60.0
# Sample sizes and values of the two updates, and what their weighted mean must be.
SIZES = (1, 3)
VALUES = (1.0, 5.0)
MEAN = 4.0


class HeldUpload:
    """An upload of which the server has all but the last byte."""

    def __init__(self, site: Site, account: Account, model: str, size: int, content: bytes) -> None:
        request = requests.Request(
            "POST",
            f"{site.url}/api/models/{model}/",
            headers={"Authorization": f"Token {account.token}"},
            data={"round": "0", "sample_size": str(size)},
            files={"model_file": ("model.pt", content)},
        ).prepare()
        assert isinstance(request.body, bytes)
        address = urlsplit(site.url)
        self._connection = HTTPConnection(str(address.hostname), address.port, timeout=PATIENCE)
        self._connection.putrequest("POST", request.path_url, skip_accept_encoding=True)
        for name, value in request.headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders(request.body[:-1])
        self._last = request.body[-1:]

    def let_go(self) -> None:
        self._connection.send(self._last)

    def status(self) -> int:
        answer = self._connection.getresponse()
        answer.read()
        self._connection.close()
        return answer.status


def race(site: Site, people: list[Account], model: str) -> list[int]:
    """Both upload, their last bytes in one breath; the answers' status codes."""
    uploads = [
        HeldUpload(site, account, model, size, scripted_linear(value))
        for account, size, value in zip(people, SIZES, VALUES, strict=True)
    ]
    for upload in uploads:
        upload.let_go()
    return [upload.status() for upload in uploads]


@pytest.mark.timeout(300)
def test_two_last_uploads_at_once_close_every_round_once(site: Site, say: Callable[[str], None]) -> None:
    account, *people = site.make_users(["", "", ""])  # no endpoint: they need no notification
    actor = Actor(site.url, token=account.token)
    trainings: dict[str, str] = {}
    for _trial in range(TRIALS):
        model = actor.upload_model(torch.jit.load(io.BytesIO(scripted_linear(0.0))), "linear")  # type: ignore[no-untyped-call]
        options = {"skip_model_tests": True}
        training = actor.create_training(model, rounds=1, participants=[one.id for one in people], options=options)
        actor.start(training)
        assert race(site, people, model) == [201, 201]
        trainings[training] = model
    wait_until("every training to end", lambda: all(site.ledger.state(UUID(one))[0] == "C" for one in trainings))
    for training, model in trainings.items():
        events = [(kind, number) for kind, number, _text in site.ledger.events(UUID(training))]
        assert events == [("started", 0), ("aggregated", 0), ("finished", 1)]
        module = torch.jit.load(io.BytesIO(actor.download(model)))  # type: ignore[no-untyped-call]
        assert all(bool((parameter == MEAN).all()) for parameter in module.parameters())
    say(f"Two last uploads at once on {site.name}: {TRIALS} trials, {TRIALS} rounds closed once.")
    actor.close()
