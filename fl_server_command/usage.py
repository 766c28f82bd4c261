"""Wrong arguments are answered with a sentence that says where the help is. Parsers print all of their options."""

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def usage_in_a_sentence() -> Iterator[None]:
    """Of all parsers that read arguments in it: Django makes those of its commands itself."""
    before = ArgumentParser.error
    ArgumentParser.error = _explain  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        ArgumentParser.error = before  # type: ignore[method-assign]


def _explain(parser: ArgumentParser, message: str) -> NoReturn:
    parser.exit(2, f"{' '.join(message.split())} ({parser.prog} --help explains the arguments)\n")
