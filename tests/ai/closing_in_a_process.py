"""Closes a round in a process of its own and says what it cost: `python -m tests.ai.closing_in_a_process FILE NUMBER`.

FILE is a model; NUMBER participants have each sent it as their update. FL_DATA_DIR names an empty folder. This process
never imports torch, as a worker that aggregates does not.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import django

from tests.memory import anonymous_memory

if TYPE_CHECKING:
    from fl_server_core.models import Training

SAMPLE_SECONDS = 0.002


class Watch:
    """Notes the most anonymous memory while its block runs."""

    def __enter__(self) -> Watch:
        self.before = self.peak = anonymous_memory()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(SAMPLE_SECONDS)
            self.peak = max(self.peak, anonymous_memory())


def prepare(model_file: Path, number: int) -> Training:
    """A training whose first round awaits nothing but its closing; each update is a file of its own."""
    from django.conf import settings
    from django.core.management import call_command

    from fl_server_core.services.trainings import start_training
    from tests.builders.rows import make_model, make_submission, make_training, make_update, make_user

    call_command("migrate", verbosity=0)

    def copy(name: str) -> str:
        settings.MEDIA_ROOT.mkdir(exist_ok=True)
        shutil.copyfile(model_file, settings.MEDIA_ROOT / name)
        return name

    people = [make_user(f"participant-{index}") for index in range(number)]
    actor = make_user("actor")
    model = make_model(actor, name="large", stored_as=copy("model"))
    training = make_training(actor, people, model, target_num_updates=1, options={"skip_model_tests": True})
    start_training(training_id=training.id, user=actor)
    for index, person in enumerate(people):
        update = make_update(model, person, sample_size=index + 1, stored_as=copy(f"update-{index}"))
        make_submission(training, person, update=update, is_silent=True)
    return training


def main(model_file: Path, number: int) -> dict[str, object]:
    """Prepare, close, measure: bytes and seconds."""
    django.setup()
    training = prepare(model_file, number)

    from fl_server_ai.trainer import ModelTrainer
    from tests.builders.rounds import events_of

    with Watch() as watch:
        started = time.perf_counter()
        ModelTrainer(training).advance()
        seconds = time.perf_counter() - started
    training.refresh_from_db()
    return {
        "state": training.state,
        "events": [event.kind for event in events_of(training)],
        "before": watch.before,
        "growth": watch.peak - watch.before,
        "seconds": seconds,
        "torch": "torch" in sys.modules,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
