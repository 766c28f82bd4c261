from __future__ import annotations

from celery import shared_task
from django.conf import settings

from fl_server_ai.trainer.due import trainings_to_look_at
from fl_server_ai.trainer.model_trainer import ModelTrainer


@shared_task(name="fl_server_ai.trainer.tasks.process_trainer_task")
def process_trainer_task(training_id: str) -> None:
    """Do what is due in one training; nothing, if nothing is."""
    ModelTrainer(training_id).advance()


@shared_task(name="fl_server_ai.trainer.tasks.sweep")
def sweep() -> None:
    """Find what nobody was nudged for: lost messages, deadlines, leases that have run out, deliveries that are due."""
    from fl_server_ai.notification.tasks import enqueue_due_deliveries

    for training_id in trainings_to_look_at().values_list("pk", flat=True):
        # A look that still waits when the next sweep comes is dropped: a backlog does not grow by sweeping.
        process_trainer_task.apply_async((str(training_id),), expires=2 * settings.FL_SWEEP_SECONDS)
    enqueue_due_deliveries()
