"""The order of the kinds, whatever order they are registered in, and what an offer is known by."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from fl_server_core.models import NotificationType, Training
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import LAST, Offer, RoundKind, UnknownKind, all_kinds, kind_of
from fl_server_core.services.files import NewFiles
from tests.builders.files import uploaded
from tests.builders.rows import make_submission, make_training, make_user
from tests.builders.storage import content_of


class Plain(RoundKind[None]):
    notification: ClassVar[str] = NotificationType.UPDATE_ROUND_START

    def wants(self, training: Training, number: int) -> bool:
        return True

    def compute(self, claim: Claim, files: NewFiles) -> None: ...

    def apply(self, claim: Claim, training: Training, result: None) -> None: ...


def plain(word: str, **fields: Any) -> type[Plain]:
    return type(word, (Plain,), {"name": word, "title": word, **fields})


KINDS = (
    plain("start", starts_cycle=True),
    plain("second", after="start"),
    plain("third", after="second"),
    plain("end", after=LAST),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_cycle_starts_goes_on_and_ends_whatever_was_registered_first(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(round_kinds):
        monkeypatch.delitem(round_kinds, name)
    for at in order:
        monkeypatch.setitem(round_kinds, KINDS[at].name, KINDS[at])
    assert [kind.name for kind in all_kinds()] == ["start", "second", "third", "end"]


def test_the_kinds_of_the_server_make_one_cycle() -> None:
    names = [kind.name for kind in all_kinds()]
    assert set(names[:2]) == {"update", "passing_on"}
    assert names[2:] == ["swag", "test"]


def test_a_kind_s_phase_is_its_name_unless_said_otherwise() -> None:
    assert plain("some").phase == "some"
    assert {kind_of("update").phase, kind_of("passing_on").phase} == {"update"}


def test_a_kind_that_nobody_defines_is_told_of_in_a_sentence() -> None:
    with pytest.raises(UnknownKind, match="No installed package defines rounds of kind 'gone'"):
        kind_of("gone")


@pytest.mark.django_db
def test_everybody_is_given_the_global_model_unless_said_otherwise() -> None:
    training, person = make_training(make_user()), uuid4()
    assert plain("some")().models_given(training, [person]) == {person: training.model_id}


@pytest.mark.django_db
def test_the_files_of_a_submission_replace_those_of_the_earlier_one() -> None:
    person = make_user()
    submission = make_submission(make_training(make_user(), [person]), person)
    offer = Offer(person, "some", 0, uuid4())
    for content in (b"first", b"second"):
        name = NewFiles().store(uploaded(content))
        plain("some")().keep(submission, offer, {"part": name})
    (file,) = submission.files.all()
    assert (file.name, content_of(str(file.file.name))) == ("part", b"second")


@pytest.mark.django_db
def test_an_offer_is_known_by_its_files_or_its_content() -> None:
    person = make_user()
    files = {"a": uploaded(b"ab"), "b": uploaded(b"c")}
    assert Offer(person, "some", 0, uuid4(), files=files).digest == hashlib.sha256(b"abc").hexdigest()
    first = Offer(person, "some", 0, uuid4(), content={"a": 1, "b": [2]})
    again = Offer(person, "some", 1, uuid4(), content={"b": [2], "a": 1})
    other = Offer(person, "some", 0, uuid4(), content={"a": 1, "b": [3]})
    assert first.digest == again.digest != other.digest
