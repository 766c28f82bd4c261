"""The protocol of a kind of round. Each kind is one class in one file; it registers itself under its name."""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile

from fl_server_core.exceptions import Conflict
from fl_server_core.models.model import GlobalModel
from fl_server_core.models.submission import Submission, SubmissionFile
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.models.user import User
from fl_server_core.registry import round_kinds
from fl_server_core.services.files import NewFiles, digest_of
from fl_server_core.services.metrics import Reported

if TYPE_CHECKING:
    from fl_server_core.rounds.claims import Claim

LAST = "*"
Result = TypeVar("Result")


class UnknownKind(Conflict):
    """No installed package defines this kind of round."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No installed package defines rounds of kind {name!r}. Install it again, then resume.")


class CannotClose(Exception):
    """The round can't be closed, however often it is tried: the training fails with this sentence."""


@dataclass(frozen=True)
class Offer:
    """What a participant offers as its submission to a round.

    phase: the kinds of round that take it. target_id: the model that it was sent to. content: JSON.
    """

    participant: User
    phase: str
    number: int
    target_id: UUID
    sample_size: int = 0
    files: Mapping[str, UploadedFile[bytes]] = field(default_factory=dict)
    content: Any = None
    metrics: Reported = ()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that was sent, hexadecimal; it takes as long as reading the files."""
        text = b"" if self.content is None else json.dumps(self.content, sort_keys=True).encode()
        return digest_of(*self.files.values(), io.BytesIO(text))


class UnknownHere(CannotClose):
    """This worker lacks what the round needs. Another one, of a newer version perhaps, may have it."""


class RoundKind(ABC, Generic[Result]):
    """What is asked of the participants in a round, and what becomes of their submissions.

    name: also the `kind` of its rounds. notification: what announces it. state: of the training meanwhile.
    phase: the word for it in a training's status, by default its name; the kinds of one phase take the same
    submissions.
    has_own_path: its submissions arrive at a path of the wire; others at `/trainings/<id>/rounds/<name>/`.
    starts_cycle: one such kind opens each cycle of rounds. after: the kind that it follows in a cycle, or `LAST`.
    early_in: the kinds of rounds during which submissions to the next round of this kind are taken.
    needs_computing: closing one takes long, so it waits for a worker that computes.
    takes_metrics: who posts metrics of the global model meanwhile has made its submission.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    notification: ClassVar[str]
    state: ClassVar[TrainingState] = TrainingState.ONGOING
    phase: ClassVar[str] = ""
    has_own_path: ClassVar[bool] = False
    starts_cycle: ClassVar[bool] = False
    after: ClassVar[str] = LAST
    early_in: ClassVar[Sequence[str]] = ()
    needs_computing: ClassVar[bool] = True
    takes_metrics: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.phase = cls.phase or getattr(cls, "name", "")

    @abstractmethod
    def wants(self, training: Training, number: int) -> bool:
        """Does the training want such a round, now that its model is in round `number`?"""

    def models_given(self, training: Training, receivers: Sequence[UUID]) -> dict[UUID, UUID]:
        """The id of the model that each receiver has to work on."""
        return dict.fromkeys(receivers, training.model_id)

    def check(self, base: GlobalModel, offer: Offer) -> None:
        """Look at what is offered, outside any lock.

        Raises:
            InvalidValue, InvalidRequest: it can't be taken, and why.
        """

    def store(self, base: GlobalModel, offer: Offer, files: NewFiles) -> dict[str, str]:  # noqa: ARG002  for kinds that rewrite
        """Store what was checked, outside any lock, and say the stored files' names by their part.

        What may be handed to somebody else is stored without anything of the participant's but tensors.
        """
        return {part: files.store(file) for part, file in offer.files.items()}

    def keep(self, submission: Submission, offer: Offer, names: Mapping[str, str]) -> None:  # noqa: ARG002  for kinds with rows of their own
        """Write the rows that belong to a submission, in its transaction. names: of the stored files, by part."""
        submission.files.all().delete()
        SubmissionFile.objects.bulk_create(
            [SubmissionFile(submission=submission, name=part, file=name) for part, name in names.items()]
        )

    @abstractmethod
    def compute(self, claim: Claim, files: NewFiles) -> Result:
        """Work out the result of the claimed submissions, outside any transaction.

        Raises:
            CannotClose: trying again can't help.
            ClaimLost: the round has become somebody else's.
        """

    @abstractmethod
    def apply(self, claim: Claim, training: Training, result: Result) -> None:
        """Write the result's rows. The training is locked and the claim holds.

        Figures go into `claim.round.figures`: the caller closes the round and saves it.
        """


def kind_of(name: str) -> RoundKind[Any]:
    """The kind of this name.

    Raises:
        UnknownKind: no installed package defines it.
    """
    if name not in round_kinds:
        raise UnknownKind(name)
    return cast("type[RoundKind[Any]]", round_kinds[name])()


def all_kinds() -> list[RoundKind[Any]]:
    """Every kind in the order of a cycle: those that start one, those that follow another kind, those that end it."""
    kinds = [cast("type[RoundKind[Any]]", kind)() for kind in round_kinds.values()]
    others = [kind for kind in kinds if not kind.starts_cycle]
    ordered = [kind for kind in kinds if kind.starts_cycle]
    for known in ordered:  # grows meanwhile: what follows one may be followed itself
        ordered.extend(kind for kind in others if kind.after == known.name)
    last = [kind for kind in others if kind.after == LAST]
    for known in last:
        last.extend(kind for kind in others if kind.after == known.name)
    return ordered + last
