"""What can go wrong. Every error that this package raises on purpose is a `FederationError`."""

from __future__ import annotations

from typing import Self

import httpx

SUPERSEDED = ("not currently in round", "is in state", "is in a round of kind")
"""What the server says when the training has gone on to another round."""


class FederationError(Exception):
    """The base of this package's errors."""


class Refused(FederationError):
    """The server refused the request (4xx). Repeating it would not help."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{status}: {sentence}")
        self.status = status
        self.sentence = sentence

    @classmethod
    def by(cls, response: httpx.Response) -> Self:
        """The refusal that a response is."""
        return cls(response.status_code, sentence_of(response))

    @property
    def is_superseded(self) -> bool:
        """Whether the submission was for a round that is already over."""
        return self.status == 400 and any(part in self.sentence for part in SUPERSEDED)


class Unreachable(FederationError):
    """The server could not be reached or failed on every try."""


class Damaged(FederationError):
    """A downloaded file is not the one that the server announced."""


class Rejected(FederationError):
    """Raise it where a notification is taken, to reject it: who rejects a round leaves its training."""


class Misused(FederationError):
    """A participant's method returned what it may not."""


class UnreadableModel(FederationError):
    """The file isn't a model that this program may load."""


class TrainingFailed(FederationError):
    """The training was not completed."""


class MissingPackage(FederationError):
    """A package that this call needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"This needs {package}: pip install 'fl-server-client[{extra}]'")


def sentence_of(response: httpx.Response) -> str:
    """The reason for a refusal, from {"detail": …}, a list or a map of fields; shortened to a readable length."""
    try:
        body = response.json()
    except ValueError:
        return " ".join(response.text.split())[:300] or response.reason_phrase
    if isinstance(body, dict) and isinstance(body.get("errors"), dict):
        body = body["errors"]  # problem details of RFC 9457
    if isinstance(body, dict) and isinstance(body.get("detail"), str):
        return str(body["detail"])
    if isinstance(body, dict) and all(isinstance(sentences, list) for sentences in body.values()):
        return " ".join(f"{name}: {sentence}" for name, sentences in body.items() for sentence in sentences)[:300]
    if isinstance(body, list) and len(body) == 1:
        return str(body[0])
    return str(body)[:300]
