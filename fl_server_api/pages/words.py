"""A training in words: where it stands in one sentence, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from fl_server_api.pages.html import ago
from fl_server_core.models import Event, EventKind
from fl_server_core.models.training import TrainingState
from fl_server_core.selectors.live import Live

NAMES = 3


@dataclass(frozen=True)
class Standing:
    """word and tone: the state, in a word and a colour. sentence: all of it."""

    word: str
    tone: str
    sentence: SafeString


def standing(live: Live) -> Standing:
    """Where the training stands."""
    status, state, word = live.status, live.training.state, live.training.get_state_display()
    if state == TrainingState.INITIAL:
        number = len(status["participants"])
        return Standing(word, "", format_html("Not started. {}.", _counted(number, "participant")))
    if state == TrainingState.COMPLETED:
        closed, wanted = _closed(status), status["target_num_updates"]
        if closed < wanted:
            return Standing(word, "", format_html("Stopped after {} of {}.", closed, _counted(wanted, "round")))
        return Standing(word, "good", format_html("Completed after {}.", _counted(closed, "round")))
    if state == TrainingState.ERROR:
        if status["since"] is None:  # no round is open
            return Standing(word, "bad", SafeString("Stopped before a round was closed."))
        reason = status["failure"] or "The reason is not kept any more."
        return Standing(word, "bad", format_html("In error in round {}: {}", _number(status), reason))
    return Standing(word, "busy", _running(status))


def _running(status: Mapping[str, Any]) -> SafeString:
    where = f"Round {_number(status)} of {status['target_num_updates']}"
    if status["phase"] not in ("update", "idle"):
        where += f" ({status['phase']} round)"
    awaited = sorted(person["username"] for person in status["participants"] if person["awaited"])
    if status["locked"]:
        return format_html("{}: a worker is closing it.", where)
    if not awaited:
        return format_html("{}: everyone has submitted, a worker is about to close it.", where)
    waiting = format_html("{}: waiting for {}; opened {}", where, _listed(awaited), ago(status["since"]))
    if status["deadline"] is None:
        return format_html("{}, without a deadline.", waiting)
    return format_html("{}, deadline {}.", waiting, ago(status["deadline"]))


def _closed(status: Mapping[str, Any]) -> int:
    return int(min(status["rounds_closed"], status["target_num_updates"]))


def _number(status: Mapping[str, Any]) -> int:
    """The round that is open, counted from 1. A test round belongs to the one that has just been closed."""
    after = status["rounds_closed"] + (status["phase"] in ("update", "idle"))
    return int(max(1, min(after, status["target_num_updates"])))


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMES:
        return f"{', '.join(names[:NAMES])} and {len(names) - NAMES} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


STORY = {
    EventKind.STARTED: "The training was started.",
    EventKind.AGGREGATED: "The updates became a new version.",
    EventKind.PASSED_ON: "The models were passed on.",
    EventKind.MOMENTS_AVERAGED: "The moments were averaged.",
    EventKind.TESTED: "The model was tested.",
    EventKind.PARTICIPANT_ADDED: "{user} takes part.",
    EventKind.PARTICIPANT_REMOVED: "{user} was removed.",
    EventKind.PARTICIPANT_REJECTED: "{user} refused a notification.",
    EventKind.PARTICIPANT_LEFT: "{user} left.",
    EventKind.PARTICIPANT_REMINDED: "{user} was reminded.",
    EventKind.PARTICIPANT_INVITED: "{user} was invited.",
    EventKind.PARTICIPANT_ACCEPTED: "{user} accepted the invitation.",
    EventKind.PARTICIPANT_DECLINED: "{user} declined the invitation.",
    EventKind.PARTICIPANT_UNINVITED: "{user}'s invitation was withdrawn.",
    EventKind.DELIVERY_FAILED: "The server gave up notifying {user}.",
    EventKind.DELIVERIES_RETRIED: "Undelivered notifications were sent again.",
    EventKind.TAKEN_OVER: "Another worker took over from one that went silent.",
    EventKind.FAILED: "The training failed.",
    EventKind.RESUMED: "The training was resumed.",
    EventKind.STOPPED: "The training was stopped.",
    EventKind.FINISHED: "The training finished.",
}
"""What happened, by kind of event. Other kinds tell their own name."""


@dataclass(frozen=True)
class Happening:
    """An event in words. tone: as the page colours it."""

    at: datetime
    text: str
    tone: str


def story(live: Live) -> list[Happening]:
    """What happened, newest first."""
    first = live.training.first_round or 0
    return [_happening(event, first, live.reader.readable(event)) for event in live.events]


def _happening(event: Event, first: int, figures: object) -> Happening:
    name = event.user.username if event.user else "Somebody who is gone"
    kind = EventKind(event.kind) if event.kind in EventKind.values else None
    told = STORY.get(kind, f"{event.get_kind_display().capitalize()}.") if kind else event.kind
    words = [told.format(user=name)]
    if kind in (EventKind.AGGREGATED, EventKind.PASSED_ON, EventKind.TESTED) and event.round is not None:
        words.insert(0, f"Round {event.round - first + (kind != EventKind.TESTED)}:")
    words += [event.message] if event.message else []
    words += [f"({_figures(figures)})"] if _figures(figures) else []
    words += [f"By {event.author.username}."] if event.author else []
    return Happening(event.at, " ".join(words), "bad" if kind == EventKind.FAILED else "")


def _figures(figures: object) -> str:
    """The plain ones, in the order of their names, which databases don't keep: `seconds 0.25, updates 3`."""
    values = figures if isinstance(figures, Mapping) else {}
    plain = [(str(name), value) for name, value in sorted(values.items()) if isinstance(value, (int, float, str))]
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in plain)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
