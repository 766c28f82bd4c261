"""Questions that may hang."""

from __future__ import annotations

import threading

import pytest

from fl_server_core.monitoring.bounded import Bounded, NoAnswer

GUARD = 30.0


def test_whoever_asks_gets_the_answer_or_what_the_question_raised() -> None:
    answers = iter([1, 2])
    asked: Bounded[int] = Bounded("numbers", lambda: next(answers), seconds=GUARD)
    assert [asked.answer(asked.ask()), asked.answer(asked.ask())] == [1, 2]
    with pytest.raises(StopIteration):
        asked.answer(asked.ask())


def test_a_question_that_hangs_is_not_asked_again_and_answered_late() -> None:
    goes_on, calls = threading.Event(), []

    def question() -> int:
        calls.append(1)
        assert goes_on.wait(GUARD)
        return len(calls)

    asked: Bounded[int] = Bounded("hanging", question, seconds=0.05)
    before = threading.active_count()
    for _ in range(20):
        with pytest.raises(NoAnswer, match=r"0\.05 seconds"):
            asked.answer(asked.ask())
    assert (len(calls), threading.active_count()) == (1, before + 1)
    number = asked.ask()
    goes_on.set()
    with asked._changed:
        assert asked._changed.wait_for(lambda: asked._answered >= number, GUARD)
    assert asked.answer(number) == 1


def test_questions_are_asked_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=GUARD)
    asked = [Bounded(f"meeting-{number}", meeting.wait, seconds=GUARD) for number in range(3)]
    numbers = [one.ask() for one in asked]
    assert {one.answer(number) for one, number in zip(asked, numbers, strict=True)} == {0, 1, 2}
