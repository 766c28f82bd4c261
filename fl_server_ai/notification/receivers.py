from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.dispatch import receiver

from fl_server_ai.notification.tasks import enqueue
from fl_server_core.selectors.deliveries import sendable_ids
from fl_server_core.signals import deliveries_due


@receiver(deliveries_due)
def enqueue_deliveries(delivery_ids: Sequence[int], **_kwargs: Any) -> None:
    """Those that wait behind another one, or are fetched by their receivers, are left alone."""
    enqueue(sendable_ids(delivery_ids))
