"""What core says to whom it does not know."""

from django.dispatch import Signal

deliveries_due = Signal()
"""Sent after the commit that wrote deliveries, with `delivery_ids`: they may go out now."""

round_handed_over = Signal()
"""Sent by a worker that stops, with `training_id`: it has let go of the training's round, which is due."""

training_resumed = Signal()
"""Sent within the transaction that resumes a training, with `training_id`: its round may be due at once."""
