"""The versions of a model: listed, and read by their numbers."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People, Person
from tests.api.versions import close_a_round, path_of, versions, world_of
from tests.builders.files import pickled_linear, saved, scripted_linear, uploaded
from tests.builders.rows import make_mean_model, make_metric, make_update
from tests.builders.storage import body_of

KEYS = [
    "version",
    "created_at",
    "size",
    "sha256",
    "available",
    "is_current",
    "name",
    "pinned",
    "restored_from",
    "metrics",
]


def test_a_models_versions_are_listed_with_the_newest_last(people: People, ten: GlobalModel) -> None:
    for reader in (people.actor, people.participant, people.staff):
        rows = versions(reader, ten)
        assert [row["version"] for row in rows] == list(range(10))
        assert [row["is_current"] for row in rows] == [False] * 9 + [True]
        for row in rows:
            content = scripted_linear(float(row["version"] or 1))
            assert (row["size"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
            assert (row["available"], row["name"], row["pinned"], row["metrics"]) == (True, "", False, {})
            assert list(row) == KEYS


def test_versions_are_listed_for_those_who_may_read_the_model(people: People, ten: GlobalModel) -> None:
    assert people.outsider.client.get(path_of(ten)).status_code == 403
    assert people.nobody.get(path_of(ten)).status_code == 401
    malformed = people.actor.client.get("/api/models/none/versions/")
    assert (malformed.status_code, malformed.json()) == (400, {"detail": "Model none not found."})


def test_a_mean_model_and_an_update_have_no_versions(people: People, model: GlobalModel, training: Training) -> None:
    assert versions(people.actor, make_mean_model(people.actor.user, [model])) == []
    update = make_update(model, people.participant.user)
    answer = people.participant.client.get(f"/api/models/{update.pk}/versions/")
    assert (answer.status_code, answer.json()) == (200, [])


def test_a_version_has_the_means_over_the_participants_of_its_test_round(people: People) -> None:
    world = world_of(people, 3, options={})
    close_a_round(world, 1.0)
    for who, value in enumerate((0.25, 0.5)):
        world.metrics(who, value)
    world.metrics(0, 1.0)  # a participant's last value counts
    make_metric(world.model, reporter=world.actor, key="accuracy", value=100.0)  # not of the test round
    world.metrics(2, 0.75)
    assert [row["metrics"] for row in versions(people.actor, world.model)] == [{}, {"accuracy": 0.75}]
    world.advance()
    close_a_round(world, 2.0)
    world.metrics(1, 0.5)
    assert [row["metrics"] for row in versions(people.participant, world.model)] == [
        {},
        {"accuracy": 0.75},
        {"accuracy": 0.5},
    ]


@pytest.mark.parametrize(
    ("values", "mean"),
    [("0.1 0.1 0.1", 0.1), ("1e16 1 -1e16", 1 / 3), ("1.7e308 1.7e308", 1.7e308), ("-1.7e308 1.7e308 3", 1.0)],
)
def test_a_mean_is_exact(people: People, values: str, mean: float) -> None:
    world = world_of(people, 3, options={})
    close_a_round(world, 1.0)
    for who, value in enumerate(values.split()):
        world.metrics(who, float(value))
    assert versions(people.actor, world.model)[1]["metrics"] == {"accuracy": mean}


@pytest.mark.parametrize("values", ["nan 1", "inf 1", "inf -inf", "nan inf"])
def test_a_mean_that_is_not_a_finite_number_is_null(people: People, values: str) -> None:
    world = world_of(people, 3, options={})
    close_a_round(world, 1.0)
    for who, value in enumerate(values.split()):
        world.metrics(who, float(value))
    assert versions(people.actor, world.model)[1]["metrics"] == {"accuracy": None}


def test_a_pickled_model_has_versions_like_any_other(people: People) -> None:
    form = {"name": "m", "description": "d", "model_file": uploaded(pickled_linear())}
    model = GlobalModel.objects.get(pk=people.actor.client.post("/api/models/", form).json()["model_id"])
    (row,) = versions(people.actor, model)
    assert (row["version"], row["sha256"]) == (0, hashlib.sha256(pickled_linear()).hexdigest())


def test_any_version_is_downloaded_by_its_number(people: People, ten: GlobalModel) -> None:
    for number in (0, 3, 9):
        content = scripted_linear(float(number or 1))
        answer = people.participant.client.get(f"/api/models/{ten.pk}/?version={number}")
        assert (answer.status_code, body_of(answer)) == (200, content)
        assert answer["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
        assert answer["Content-Disposition"] == f'attachment; filename="model-{ten.pk}.pt"'
    assert body_of(people.participant.client.get(f"/api/models/{ten.pk}/")) == scripted_linear(9.0)
    assert people.outsider.client.get(f"/api/models/{ten.pk}/?version=3").status_code == 403


def test_metadata_of_a_version_has_its_round(people: People, ten: GlobalModel) -> None:
    client = people.participant.client
    assert client.get(f"/api/models/{ten.pk}/metadata/").json()["round"] == 9
    old = client.get(f"/api/models/{ten.pk}/metadata/?version=3").json()
    assert (old["round"], old["name"]) == (3, "linear")


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_a_version_is_asked_by_its_number(people: People, ten: GlobalModel, form: bool) -> None:
    """The arg-max says nothing of the version; the mean of two passes through a model without dropout does."""
    Training.objects.filter(model=ten).update(uncertainty_method="MC_DROPOUT", options={"uncertainty": {"N": 2}})
    for number in (3, 9):
        values: dict[str, Any] = {"model_id": str(ten.pk), "version": number, "return_format": "json"}
        if form:
            import torch

            file = uploaded(saved(torch.tensor([[1.0, 2.0, 3.0]])))
            answer = people.participant.client.post("/api/inference/", {**values, "model_input": file})
        else:
            values["model_input"] = [[1.0, 2.0, 3.0]]
            answer = people.participant.client.post("/api/inference/", values, format="json")
        assert answer.status_code == 200, answer.content
        assert answer.json()["inference"] == [[7.0 * number, 7.0 * number]]  # (1 + 2 + 3 + 1) · number


def ask(person: Person, model: Any, path: str, version: object) -> Any:
    if path == "inference":
        body = {"model_id": str(model.pk), "model_input": [[1.0, 2.0, 3.0]], "version": version}
        return person.client.post("/api/inference/", body, format="json")
    return person.client.get(f"/api/models/{model.pk}/{path}?version={version}")


READS = pytest.mark.parametrize("path", ["", "metadata/", "inference"])


@READS
def test_a_version_that_is_unknown_malformed_or_no_longer_kept_is_refused(
    people: People, ten: GlobalModel, path: str
) -> None:
    unknown = ask(people.actor, ten, path, 10)
    assert (unknown.status_code, unknown.json()) == (400, {"detail": f"Model {ten.pk} has no version 10."})
    for malformed in ("x", "-1", "1.5", "1_0", "+1", "١", str(2**31), "9" * 50):
        assert ask(people.actor, ten, path, malformed).status_code == 400, malformed
    ten.versions.filter(number=4).update(weights_file="")
    gone = ask(people.actor, ten, path, 4)
    assert (gone.status_code, gone.json()) == (410, {"detail": f"Version 4 of model {ten.pk} is no longer kept."})


@READS
def test_a_mean_model_and_an_update_have_no_version_to_read(
    people: People, model: GlobalModel, training: Training, path: str
) -> None:
    for row in (make_mean_model(people.actor.user, [model]), make_update(model, people.participant.user)):
        answer = ask(people.actor, row, path, 0)
        assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {row.pk} has no version 0."})
