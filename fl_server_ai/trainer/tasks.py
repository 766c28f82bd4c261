from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.core.cache import cache

from fl_server_ai.alerts.tasks import look_for_alerts
from fl_server_ai.notification.tasks import enqueue_due_deliveries
from fl_server_ai.trainer.model_trainer import ModelTrainer
from fl_server_core.log_context import bound_ids
from fl_server_core.rounds.due import due_rounds, trainings_without_round
from fl_server_core.services.orphans import remove_orphans
from fl_server_core.services.retention import purge_all
from fl_server_core.services.trail_sealing import seal_trail
from fl_server_core.tracing import own_trace

ORPHANS_EVERY_SECONDS = 3600
PURGE_EVERY_SECONDS = 3600
# Where the pool is of processes, which can be killed. In a thread, a claim without progress lets its round go.
CLOSING_LIMIT_SECONDS = 6 * 3600
SWEEP_LIMIT_SECONDS = 600
SEALING_LIMIT_SECONDS = 60


@shared_task(name="fl_server_ai.trainer.tasks.process_trainer_task", time_limit=SWEEP_LIMIT_SECONDS)
def process_trainer_task(training_id: str) -> None:
    """Do what is due in one training; what takes long is handed on, so that a deadline never waits for it."""
    if ModelTrainer(training_id).settle():
        close_round.apply_async((training_id,), expires=2 * settings.FL_SWEEP_SECONDS)


@shared_task(name="fl_server_ai.trainer.tasks.close_round", time_limit=CLOSING_LIMIT_SECONDS)
def close_round(training_id: str) -> None:
    """Close the training's round, if it is due and no other worker has it."""
    ModelTrainer(training_id).advance()


@shared_task(name="fl_server_ai.trainer.tasks.sweep", time_limit=SWEEP_LIMIT_SECONDS)
def sweep() -> None:
    """Find what nobody was nudged for: lost messages, deadlines, leases that have run out, deliveries that are due."""
    due = set(due_rounds().values_list("training_id", flat=True))
    for training_id in due.union(trainings_without_round().values_list("pk", flat=True)):
        # A look that still waits when the next sweep comes is dropped: a backlog does not grow by sweeping.
        # In a trace of its own: the work isn't the sweep's, and nobody knows any more which request caused it.
        with bound_ids(training_id=training_id), own_trace("pick_up", training_id=training_id):
            process_trainer_task.apply_async((str(training_id),), expires=2 * settings.FL_SWEEP_SECONDS)
    enqueue_due_deliveries()
    look_for_alerts.apply_async(expires=2 * settings.FL_SWEEP_SECONDS)
    if cache.add("fl_server.orphans_looked_for", True, timeout=ORPHANS_EVERY_SECONDS):
        sweep_orphans.apply_async(expires=ORPHANS_EVERY_SECONDS)
    if cache.add("fl_server.purged", True, timeout=PURGE_EVERY_SECONDS):
        purge.apply_async(expires=PURGE_EVERY_SECONDS)


@shared_task(name="fl_server_ai.trainer.tasks.seal", time_limit=SEALING_LIMIT_SECONDS)
def seal() -> None:
    """Chain the entries of the trail that have been committed since the last call."""
    seal_trail()


@shared_task(name="fl_server_ai.trainer.tasks.sweep_orphans", time_limit=ORPHANS_EVERY_SECONDS)
def sweep_orphans() -> None:
    """Remove the files that a killed process left without a row."""
    remove_orphans(older_than=timedelta(seconds=settings.FL_ORPHAN_SECONDS))


@shared_task(name="fl_server_ai.trainer.tasks.purge", time_limit=PURGE_EVERY_SECONDS)
def purge() -> None:
    """Remove the rows that are older than the settings keep them."""
    for _ in purge_all():
        pass
