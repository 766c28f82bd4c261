"""What core says to whom it does not know."""

from django.dispatch import Signal

deliveries_due = Signal()
"""Sent after the commit that wrote deliveries, with `delivery_ids`: they may go out now."""
