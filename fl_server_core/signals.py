"""What core says to whom it does not know."""

from django.dispatch import Signal

deliveries_due = Signal()
"""Sent after the commit that wrote deliveries, with `delivery_ids`: they may go out now."""

training_resumed = Signal()
"""Sent within the transaction that resumes a training, with `training_id`: its round may be due at once."""
