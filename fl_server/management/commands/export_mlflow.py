"""`manage.py export_mlflow`: trainings as runs of an MLflow server."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fl_server.exports.commands import add_trainings, chosen_trainings
from fl_server.exports.mlflow import ExportFailed, MLflowServer, export_training, run_name


class Command(BaseCommand):
    """Exports trainings to an MLflow server. A training that is exported again keeps its run."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Which trainings, and where to."""
        add_trainings(parser)
        parser.add_argument(
            "--tracking-uri",
            default=os.environ.get("MLFLOW_TRACKING_URI", ""),
            help="the server's address, such as http://127.0.0.1:5000 (default: MLFLOW_TRACKING_URI)",
        )
        parser.add_argument("--experiment", default="fl-server", help="the experiment's name (fl-server)")

    def handle(self, *, training_ids: Any, tracking_uri: str, experiment: str, **options: Any) -> None:
        """Print one line for each training."""
        if not tracking_uri.startswith(("http://", "https://")):
            raise CommandError("Give --tracking-uri, the http or https address of an MLflow server (`mlflow server`).")
        trainings = chosen_trainings(training_ids, options["all"])
        try:
            with MLflowServer(tracking_uri) as server:
                experiment_id = server.experiment_id(experiment)
                for training in trainings:
                    number = export_training(server, experiment_id, training)
                    self.stdout.write(f"{training.pk}: {number} new values in the run “{run_name(training)}”")
        except ExportFailed as error:
            raise CommandError(str(error)) from error
