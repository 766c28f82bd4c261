"""One class per kind of refusal.

The text is a sentence for the person who asked; the API turns a class into a status.
"""

from __future__ import annotations


class DomainError(Exception):
    """What was asked for is refused; `str(error)` says why and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotAllowed(DomainError):
    """The caller may not do this."""

    def __init__(self, message: str = "You do not have permission to perform this action.") -> None:
        super().__init__(message)


class EntityNotFound(DomainError):
    """No row has this id."""

    def __init__(self, entity: str, identifier: object) -> None:
        # As it was typed, where it came from outside.
        super().__init__(f"{entity} {getattr(identifier, 'text', identifier)} not found.")


class MissingPart(DomainError):
    """The row exists, but what was asked for is not part of it."""


class NoTraining(DomainError):
    """An update for a model that no training is about."""

    def __init__(self, model_id: object) -> None:
        super().__init__(f"Model with ID {model_id} does not have a training process running")


class HasOwnPath(MissingPart):
    """Submissions to this kind of round arrive elsewhere."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"No round of kind '{kind}' takes submissions here.")
        self.kind = kind


class InvalidRequest(DomainError):
    """The request is understood but makes no sense here: told as `{"detail": …}`."""


class InvalidValue(DomainError):
    """A value of the request cannot be used: told as a bare list of sentences."""

    @property
    def messages(self) -> list[str]:
        return [self.message]


class InvalidField(InvalidValue):
    """The value of one field cannot be used: told as the sentences by field, as serializers do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _where(current: int) -> str:
    return f"The current round is {current}."


class InvalidFile(InvalidValue):
    """An uploaded file cannot be used."""

    def __init__(self, reason: object, kind: str = "model") -> None:
        super().__init__(f"Invalid {kind} file: {reason}")


class WrongState(InvalidValue):
    """The training is in a state in which it takes no such answer. `current`: its round, where it is running."""

    def __init__(self, training_id: object, state: str, current: int | None = None) -> None:
        super().__init__(f"Training with ID {training_id} is in state {state}")
        self.current = current

    @property
    def messages(self) -> list[str]:
        """A straggler is also told where the training is by now."""
        return [self.message] if self.current is None else [self.message, _where(self.current)]


class WrongRound(InvalidValue):
    """The answer is for a round that is not open."""

    def __init__(self, training_id: object, asked: int, current: int) -> None:
        super().__init__(f"Training with ID {training_id} is not currently in round {asked}")
        self.is_late = asked < current
        self.current = current

    @property
    def messages(self) -> list[str]:
        """A straggler is also told where the training is by now."""
        return [self.message, _where(self.current)] if self.is_late else [self.message]


class WrongKind(InvalidValue):
    """The open round is of another kind than the submission."""

    def __init__(self, training_id: object, asked: str, current: str) -> None:
        super().__init__(f"Training with ID {training_id} is in a round of kind '{current}', not of '{asked}'.")


class TooManyFailures(DomainError):
    """Somebody guesses. `retry_after`: seconds until the next attempt is looked at."""

    def __init__(self, retry_after: int) -> None:
        unit = "second" if retry_after == 1 else "seconds"
        super().__init__(f"Too many failed attempts to sign in. Try again in {retry_after} {unit}.")
        self.retry_after = retry_after


class IllegalTransition(InvalidRequest):
    """The training cannot go from the state it is in to the one asked for."""


class Gone(DomainError):
    """What was asked for was there once and is no longer kept."""


class BudgetSpent(DomainError):
    """The account owns as much as it may; `str(error)` says of what, how much of it, and what to do."""


class LargerThanBudget(DomainError):
    """A file that alone is larger than all that an account may store."""


class AccountBusy(DomainError):
    """The account has asked for more than it may at once. retry_seconds: when to try again."""

    def __init__(self, message: str, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class ServerBusy(DomainError):
    """All accounts together ask for more than the server has room for at this moment."""


class Conflict(DomainError):
    """What was asked for does not fit the state that something is in now; `str(error)` says what to do first."""
