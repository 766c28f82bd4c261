"""The states of a training and the ways between them."""

from __future__ import annotations

from fl_server_core.exceptions import IllegalTransition
from fl_server_core.models.training import Training, TrainingState

LEGAL = frozenset(
    {
        (TrainingState.INITIAL, TrainingState.ONGOING),
        (TrainingState.ONGOING, TrainingState.SWAG_ROUND),
        (TrainingState.ONGOING, TrainingState.COMPLETED),
        (TrainingState.ONGOING, TrainingState.ERROR),
        (TrainingState.SWAG_ROUND, TrainingState.ONGOING),
        (TrainingState.SWAG_ROUND, TrainingState.COMPLETED),
        (TrainingState.SWAG_ROUND, TrainingState.ERROR),
        (TrainingState.ERROR, TrainingState.ONGOING),
        (TrainingState.ERROR, TrainingState.SWAG_ROUND),
    }
)


def move(training: Training, state: TrainingState) -> None:
    """Set the state of a locked training; the caller saves.

    Raises:
        IllegalTransition: there is no way from the present state to that one.
    """
    if training.state == state:
        return
    if (training.state, state) not in LEGAL:
        now = TrainingState(training.state)
        raise IllegalTransition(f"Training {training.id} cannot go from {now.name} to {state.name}.")
    training.state = state
