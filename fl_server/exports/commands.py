"""What the commands that export share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models import Training
from fl_server_core.selectors.trainings import get_training


def add_trainings(parser: CommandParser) -> None:
    """Arguments that name trainings."""
    parser.add_argument("training_ids", nargs="*", type=UUID, metavar="TRAINING", help="ids of trainings")
    parser.add_argument("--all", action="store_true", help="export all trainings")


def chosen_trainings(training_ids: Sequence[UUID], is_all: bool) -> Iterator[Training]:
    """Raises CommandError if none is named, or one is unknown."""
    if bool(training_ids) == is_all:
        raise CommandError("Name trainings by their ids, or use --all.")
    if is_all:
        return iter(Training.objects.select_related("actor"))
    try:
        return iter([get_training(training_id) for training_id in training_ids])
    except EntityNotFound as error:
        raise CommandError(str(error)) from error
