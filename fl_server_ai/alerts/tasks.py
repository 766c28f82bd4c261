from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fl_server_ai.alerts.sending import EMAIL_TURNS, send_message
from fl_server_core.selectors.alerts import rules_with_message_due
from fl_server_core.services.alerts import write_alerts

logger = logging.getLogger(__name__)

LOOK_LIMIT_SECONDS = 600
# The attempt ends by its own timeouts; this is for what should not hang and does.
SEND_LIMIT_SECONDS = int(EMAIL_TURNS * settings.EMAIL_TIMEOUT + settings.FL_NOTIFICATION_TIMEOUT_SECONDS) + 60
AT_ONCE = 500


@shared_task(name="fl_server_ai.alerts.tasks.look_for_alerts", time_limit=LOOK_LIMIT_SECONDS)
def look_for_alerts() -> None:
    """Write what alert rules are about, and put each message that is due into the queue. May run twice."""
    write_alerts()
    due = list(rules_with_message_due(timezone.now()).values_list("pk", flat=True)[:AT_ONCE])
    for rule_id in due:
        try:
            # One that still waits when the next look comes is dropped: a backlog does not grow by looking.
            send_alerts.apply_async((str(rule_id),), expires=2 * settings.FL_SWEEP_SECONDS)
        except (OperationalError, RedisError) as error:
            logger.warning("Alerts could not be enqueued, the sweep makes up for it: %s", error)
            return


@shared_task(name="fl_server_ai.alerts.tasks.send_alerts", time_limit=SEND_LIMIT_SECONDS)
def send_alerts(rule_id: str) -> None:
    """Send a rule's message. May run twice: the second finds it claimed."""
    send_message(UUID(rule_id))
