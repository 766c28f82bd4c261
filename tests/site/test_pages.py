"""The blocks of all other pages, as they stand, against one server with two participants and a training that ended.

A page's shell has what docs/actors.md names: `$S`, `$T`, `$MODEL`, `$TRAINING`, `$NORTH` and `$SOUTH`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site.blocks import DOCS, blocks_of, pages
from tests.site.page_runner import Reader

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]
PAGES = [
    page
    for page in pages()
    if page.parent.name not in ("tutorials", "how-to") and any(block.is_run for block in blocks_of(page))
]
CLINIC = """
import sys

import numpy as np
from fl_server_client import NumpyFormat, Participant, run


class Clinic(Participant):
    models = NumpyFormat()

    def train(self, model, round, options):
        for name in model:
            model[name] += np.float32(0.1)
        return 10

    def evaluate(self, model):
        return {"accuracy": 0.5}


def ready(user):
    print(user["username"], "takes part.", flush=True)


run(Clinic(), "http://127.0.0.1:8000", username=sys.argv[1], password="a long password", on_ready=ready)
"""
ACTOR = """
import sys
import time
from pathlib import Path

import torch
from fl_server_client import Actor

torch.save(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Dropout()), "model.pt")
torch.save(torch.ones(1, 2), "input.pt")
with Actor("http://127.0.0.1:8000") as actor:
    actor.sign_in("hannah", "a long password")
    ids = {user["username"]: user["id"] for user in actor.users()}
    model = actor.upload_model(Path("model.pt"), "digits", input_shape=[None, 2])
    training = actor.create_training(model, rounds=2, participants=[ids["north"], ids["south"]])
    actor.start(training)
    while actor.status(training)["state"] not in "CE":
        time.sleep(0.1)
    values = {"FL_TOKEN": actor.token, "MODEL": model, "TRAINING": training, "NORTH": ids["north"]}
    values |= {"SOUTH": ids["south"], "S": "http://127.0.0.1:8000", "T": f"Authorization: Token {actor.token}"}
with open("known.env", "w") as file:
    file.writelines(f"{name}={value}\\n" for name, value in values.items())
"""


@pytest.fixture(scope="module")
def operator(reader: Reader) -> Reader:
    """Whoever has a server that runs, and the rights of its actor."""
    (reader.folder / "clinic.py").write_text(reader.at_port(CLINIC), encoding="utf-8")
    (reader.folder / "actor.py").write_text(reader.at_port(ACTOR), encoding="utf-8")
    reader.environment["PATH"] = f"{reader.folder / 'federation/bin'}:{reader.environment['PATH']}"
    reader.terminal("server").type(reader.at_port("fl-server serve"))
    reader.terminal("server").wait_for("Serving on")
    for name in ("north", "south"):
        reader.terminal(name).type(f"python clinic.py {name}")
    for name in ("north", "south"):
        reader.terminal(name).wait_for("takes part.")
    reader.terminal("first").run("python actor.py")
    lines = (reader.folder / "known.env").read_text(encoding="utf-8").splitlines()
    for line in lines:
        name, _, value = line.partition("=")
        reader.environment[name] = value
    return reader


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_a_page_does_what_it_says(operator: Reader, page: Path) -> None:
    operator.leave("first")
    operator.work_through(page)


def test_pages_are_found_by_themselves() -> None:
    assert {DOCS / f"{name}.md" for name in ("actors", "accounts", "backup", "monitoring", "versions")} <= set(PAGES)
