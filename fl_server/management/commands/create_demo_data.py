"""`manage.py create_demo_data`: something to look at in a new server."""

import io
import secrets
import shlex
import sys
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from fl_server_core.exceptions import DomainError
from fl_server_core.models import User
from fl_server_core.models.training import AggregationMethod
from fl_server_core.services.models import create_global_model
from fl_server_core.services.trainings import create_training
from fl_server_core.services.trust import set_trusted_actors
from fl_server_core.services.users import register_user

NEXT_STEPS = """
Next, while the server is running:

1. Make a data file for each participant:
   {python} -m fl_server_demo.digits {files}
2. Run each participant in a terminal of its own (here the first one):
   FL_PASSWORD={password} {python} -m fl_server_demo.participant --server {server} \\
     --username {first} --data {first}.npz --pull
3. Start the training:
   curl -u {login} -X POST {server}/api/trainings/{training}/start/
4. Watch it:
   FL_PASSWORD={password} {python} -m fl_server_demo.follow --server {server} --username {actor} --training {training}
"""
SERVER = "http://127.0.0.1:8000"
ACTOR = "demo-actor"
PARTICIPANTS = ("demo-client-1", "demo-client-2", "demo-client-3")


class Command(BaseCommand):
    """Makes an actor, three participants, a small model and a training that waits to be started."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """The password is printed where it is not given."""
        parser.add_argument("--password", help="of the demo's users; a random one by default")

    def handle(self, *, password: str | None, **_: Any) -> None:
        """Make all of it or nothing."""
        if User._meta.db_table not in connection.introspection.table_names():
            raise CommandError("The database is empty. Start the server once, or run `fl-server migrate`.")
        if User.objects.filter(username__in=(ACTOR, *PARTICIPANTS)).exists():
            raise CommandError("The users of the demo exist already.")
        password = password or secrets.token_urlsafe(12)
        model_file = _model_file()  # takes seconds: on SQLite, a running server could write nothing meanwhile
        try:
            with transaction.atomic():
                training_id = _create(password, model_file)
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Users {', '.join((ACTOR, *PARTICIPANTS))}, with the password {password}")
        self.stdout.write(f"Training {training_id}, not started; its actor is {ACTOR}")
        self.stdout.write(_next_steps(password, training_id))


def _next_steps(password: str, training_id: str) -> str:
    """The participants fetch: pushing fails where the server is in a container or refuses private addresses."""
    executable = Path(sys.executable)
    here = executable.relative_to(Path.cwd()) if executable.is_relative_to(Path.cwd()) else executable
    return NEXT_STEPS.format(
        python=shlex.quote(str(here)),
        files=" ".join(f"{name}.npz" for name in PARTICIPANTS),
        password=shlex.quote(password),
        login=shlex.quote(f"{ACTOR}:{password}"),
        server=SERVER,
        first=PARTICIPANTS[0],
        actor=ACTOR,
        training=training_id,
    )


def _create(password: str, model_file: SimpleUploadedFile) -> str:
    actor = register_user(username=ACTOR, password=password, actor=True, is_operator=True)
    participants = [register_user(username=name, password=password, client=True) for name in PARTICIPANTS]
    for participant in participants:  # so that they take part where the server asks for consent
        set_trusted_actors(user=participant, actors=[actor.pk])
    model = create_global_model(
        owner=actor,
        name="Demo: handwritten digits",
        description="Two layers for images of 8 × 8 pixels in a row, with values from 0 to 1.",
        model_file=model_file,
        input_shape=[None, 64],
    )
    training = create_training(
        actor=actor,
        model_id=model.pk,
        target_num_updates=10,
        metric_names=["loss", "accuracy"],
        aggregation_method=AggregationMethod.FED_AVG,
        participant_ids=[user.pk for user in participants],
    )
    return str(training.pk)


def _model_file() -> SimpleUploadedFile:
    # Torch is for this command alone: no process that serves or aggregates has it in its memory.
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    buffer = io.BytesIO()
    torch.save(module, buffer)
    return SimpleUploadedFile("model.pt", buffer.getvalue())
