"""`manage.py export_tensorboard`: trainings as event files for TensorBoard."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fl_server.exports.commands import add_trainings, chosen_trainings
from fl_server.exports.tensorboard import export_training


class Command(BaseCommand):
    """Writes trainings as event files. A training that is exported again replaces its files."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which trainings, and where to."""
        add_trainings(parser)
        parser.add_argument("--logdir", required=True, type=Path, help="the folder that TensorBoard is to show")

    def handle(self, *, training_ids: Any, logdir: Path, **options: Any) -> None:
        """Print one line for each training."""
        if find_spec("tensorboardX") is None:
            raise CommandError("Install the extra: pip install 'fl-server[tensorboard]'.")
        try:
            for training in chosen_trainings(training_ids, options["all"]):
                number = export_training(training, logdir)
                self.stdout.write(f"{training.pk}: {number} values in {logdir / str(training.pk)}")
        except OSError as error:
            raise CommandError(f"The files can't be written: {error}") from error
