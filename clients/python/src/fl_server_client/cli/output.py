"""What commands print: tables and sentences for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ..actor import as_json
from ..downloads import Progress

WIDE = 1000
IDS = ("id", "training")
"""Columns whose values the next command takes."""
TITLES = {
    "aggregation_method": "aggregation",
    "created_at": "created",
    "global_model_uuid": "model",
    "target_num_updates": "rounds",
}
"""What tables call the API's fields."""
JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DIRECT = Annotated[bool, typer.Option(help="Fetch models from the server's bucket, if it has one.")]
console = Console()


def say(sentence: str) -> None:
    """A sentence, unwrapped and without colours guessed from its words."""
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """JSON on standard output."""
    typer.echo(as_json(value))


def print_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, json: bool) -> None:
    """Rows as a table of these columns; as JSON, with all of theirs."""
    rows = list(rows)
    if json:
        print_json(rows)
        return
    # A pipe has no width to keep to: ids in it are on one line.
    shown = console if console.is_terminal else Console(file=console.file, width=WIDE)
    titles = [TITLES.get(column, column) for column in columns]
    if sum(len(title) + 3 for title in titles) >= shown.width:
        for row in rows:
            shown.print(_upright(titles, _cells(row, columns)))
        return
    table = Table()
    for column, title in zip(columns, titles, strict=True):
        table.add_column(escape(title), overflow="fold", no_wrap=column in IDS)
    for row in rows:
        table.add_row(*_cells(row, columns))
    shown.print(table)


def _cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    return ["" if row.get(column) is None else escape(_short(row[column])) for column in columns]


def _upright(titles: Sequence[str], cells: Sequence[str]) -> Table:
    """One row, a line for each column: for terminals that are too narrow for the titles side by side."""
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for title, cell in zip(titles, cells, strict=True):
        table.add_row(escape(title), cell)
    return table


def print_row(row: Mapping[str, Any], *, json: bool, sentence: str) -> None:
    """One result: a sentence for people, the row as JSON."""
    if json:
        print_json(row)
    else:
        say(sentence)


def done(what: str, *, json: bool, sentence: str, **about: Any) -> None:
    """Something was done: a sentence for people; {what: true} and what is known of it as JSON."""
    print_row({what: True, **about}, json=json, sentence=sentence)


@contextmanager
def progress_bar(what: str, *, json: bool) -> Iterator[Progress]:
    """A bar of bytes on standard error, if that is a terminal and people look at it."""
    bar = Bar(
        TextColumn(what), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    if json or not bar.console.is_terminal:
        yield lambda _done, _total: None
        return
    with bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def size_of(number: float | None) -> str:
    """A number of bytes with its unit; empty for None."""
    if number is None:
        return ""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(one)}" for key, one in value.items())
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return str(value)
