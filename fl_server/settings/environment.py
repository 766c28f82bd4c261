"""Reads settings from environment variables, or from the files that ``<NAME>_FILE`` variables name.

A value that cannot be used never stops the import of the settings with a traceback: the default stands in for it, and
the sentence that says what is wrong is kept in ``Environment.problems``, where a system check finds it.
"""

import os
import re
from collections.abc import Callable, Collection
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from environ.fileaware_mapping import FileAwareMapping

Number = TypeVar("Number", int, float)

MOST = 10**9
"""Of a number without a bound of its own: Python adds no more to a date, and waits for no more, than about that."""
MOST_DAYS = 36_500
MOST_PORT = 2**16 - 1
TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off"})


class Environment:
    """Typed access to environment variables. An empty variable counts as one that is not set."""

    def __init__(self, variables: dict[str, str] | None = None) -> None:
        self._variables = FileAwareMapping(os.environ if variables is None else variables)
        self.problems: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        """The value without surrounding white space: a secret's file usually ends with a newline."""
        try:
            value = str(self._variables.get(name, "")).strip()
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}_FILE names a file that cannot be read: {error}")
            return default
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            self._report(f"{name} has bytes that aren't UTF-8.")  # which Python hands on as halves of a character
            return default
        return value or default

    def lines(self, name: str) -> list[str]:
        """The non-empty lines of a value."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]

    def words(self, name: str) -> list[str]:
        """The items of a list that is written with commas or one a line."""
        return self.text(name).replace(",", " ").split()

    def choice(self, name: str, default: str, choices: Collection[str]) -> str:
        """One of some words in capitals, in any case."""
        word = self.text(name, default).upper()
        if word in choices:
            return word
        self._report(f"{name} must be one of {', '.join(choices)}, not {word!r}.")
        return default

    def word(self, name: str, default: str, choices: Collection[str]) -> str:
        """One of some words in small letters, in any case."""
        word = self.text(name, default).lower()
        if word in choices:
            return word
        self._report(f"{name} must be one of {', '.join(choices)}, not {word!r}.")
        return default

    def device(self, name: str, default: str) -> str:
        """The CPU or a GPU: cpu, auto, cuda or cuda:1."""
        word = self.text(name, default).lower()
        if re.fullmatch(r"cpu|auto|cuda(:\d{1,3})?", word):
            return word
        self._report(f"{name} must be cpu, auto, cuda or cuda:<number>, not {word!r}.")
        return default

    def _report(self, problem: str) -> None:
        """Once: production reads some variables a second time, with another default."""
        if problem not in self.problems:
            self.problems.append(problem)

    def time_zone(self, name: str, default: str) -> str:
        """The name of a time zone that this machine knows."""
        zone = self.text(name, default)
        try:
            ZoneInfo(zone)
        except (ValueError, ZoneInfoNotFoundError, OSError):
            self.problems.append(f"{name} must name a time zone such as Europe/Berlin, not {zone!r}.")
            return default
        return zone

    def boolean(self, name: str, default: bool) -> bool:
        """1, true, yes, on or 0, false, no, off, in any case."""
        word = self.text(name).lower()
        if word in TRUE_WORDS or word in FALSE_WORDS:
            return word in TRUE_WORDS
        if word:
            self._report(f"{name} must be true or false, not {word!r}.")
        return default

    def ports(self, name: str) -> list[int]:
        """A list of ports, written with commas or spaces."""
        words = self.words(name)
        ports = [int(word) for word in words if word.isascii() and word.isdigit() and len(word) < 6]
        if len(ports) == len(words) and all(0 < port < 2**16 for port in ports):
            return ports
        self._report(f"{name} must be a list of numbers from 1 to 65535, not {self.text(name)!r}.")
        return []

    def integer(self, name: str, default: int, *, least: int = 0, most: int = MOST) -> int:
        """A whole number from `least` to `most`."""
        return self._number(name, self.text(name), default, int, "a whole number", least, most)

    def days(self, name: str, default: int) -> int:
        """A number of days: from today, a hundred years at most."""
        return self.integer(name, default, most=MOST_DAYS)

    def port(self, name: str, default: int) -> int:
        """A port of TCP."""
        return self.integer(name, default, least=1, most=MOST_PORT)

    def seconds(self, name: str, default: float, *, least: float = 0.0) -> float:
        """A number of seconds of at least `least`, fractions included."""
        return self._number(name, self.text(name), default, float, "a number", least)

    def all_seconds(self, name: str, default: list[float]) -> list[float]:
        """A list of numbers of seconds, written with commas."""
        words = self.words(name)
        values = [self._number(name, word, -1.0, float, "a list of numbers", 0.0) for word in words]
        return values if words and min(values) >= 0 else default

    def _number(
        self,
        name: str,
        text: str,
        default: Number,
        parse: Callable[[str], Number],
        kind: str,
        least: Number,
        most: float = MOST,
    ) -> Number:
        if not text:
            return default
        try:
            value = parse(text)
        except ValueError:
            value = least - 1
        if least <= value <= most:
            return value
        bound = f"most {most}" if most < value < float("inf") else f"least {least}"
        self.problems.append(f"{name} must be {kind} of at {bound}, not {text!r}.")
        return default
