from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fl_server_ai.notification.sending import send_delivery
from fl_server_core.services.delivery_attempts import claim_due_deliveries, take_from_queue

logger = logging.getLogger(__name__)

# The attempt itself ends by its own deadline; this is for what should not hang and does.
TIME_LIMIT_SECONDS = math.ceil(settings.FL_NOTIFICATION_TIMEOUT_SECONDS) + 60


@shared_task(name="fl_server_ai.notification.tasks.deliver", acks_late=True, time_limit=TIME_LIMIT_SECONDS)
def deliver(delivery_id: int) -> None:
    """Make one attempt at a delivery. May run twice: the second finds it claimed."""
    pause = send_delivery(delivery_id)
    if pause is not None:
        enqueue([delivery_id], countdown=pause)


def enqueue(delivery_ids: Sequence[int], countdown: float = 0) -> None:
    """Put one task for each delivery into the queue, to run in `countdown` seconds.

    Where the broker does not answer, the sweep finds the rest: the request that wrote the deliveries neither fails nor
    waits for each of them in turn.
    """
    for position, delivery_id in enumerate(delivery_ids):
        try:
            deliver.apply_async((delivery_id,), countdown=countdown)
        except (OperationalError, RedisError) as error:
            logger.warning("Deliveries could not be enqueued, the sweep makes up for it: %s", error)
            take_from_queue(delivery_ids=delivery_ids[position:])
            return


def enqueue_due_deliveries() -> int:
    """Put what is due, and has not been put there lately, into the queue. Returns: how many deliveries."""
    claimed = claim_due_deliveries()
    enqueue(claimed)
    return len(claimed)
