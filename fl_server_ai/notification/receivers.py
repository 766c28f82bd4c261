from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver

from fl_server_ai.notification.tasks import enqueue
from fl_server_core.selectors.deliveries import sendable
from fl_server_core.signals import deliveries_due


@receiver(deliveries_due)
def enqueue_deliveries(delivery_ids: Sequence[int], **_kwargs: Any) -> None:
    """Those that wait behind another one, or are fetched by their receivers, are left alone."""
    enqueue(list(sendable().filter(pk__in=delivery_ids).order_by("pk").values_list("pk", flat=True)))
