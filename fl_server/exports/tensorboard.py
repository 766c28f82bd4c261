"""Trainings as event files that TensorBoard reads."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from fl_server_core.models import Training
from fl_server_core.selectors.reported_values import reported_values

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

SUFFIX = ".fl-server"
MEAN = "mean"


class _Writers:
    """A writer for each curve's folder, opened when its first value comes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._open: dict[str, SummaryWriter] = {}

    def __enter__(self) -> _Writers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, name: str) -> SummaryWriter:
        from tensorboardX import SummaryWriter  # an extra: looked for by the command

        if name not in self._open:
            writer = SummaryWriter(str(self.folder / name), filename_suffix=SUFFIX, write_to_disk=True)
            self._stack.callback(writer.close)
            self._open[name] = writer
        return self._open[name]


def export_training(training: Training, folder: Path) -> int:
    """Write the training's curves: `<folder>/<training>/mean` and `<folder>/<training>/participants/<name>`.

    In TensorBoard each is a run, so that the curves of one key are drawn together. An earlier export of the training is
    replaced. Returns: how many values.
    """
    target = folder / str(training.pk)
    for file in target.rglob(f"events.out.tfevents.*{SUFFIX}"):
        file.unlink()
    number = 0
    with _Writers(target) as writers:
        for point in reported_values(training):
            name = f"participants/{_folder_name(point.reporter)}" if point.reporter else MEAN
            writers.of(name).add_scalar(point.key, point.value, point.step, walltime=point.at.timestamp())
            number += 1
    return number


def _folder_name(username: str) -> str:
    """One name for each user, that leads out of no folder."""
    return quote(username, safe="@+ ").replace(".", "%2E") if set(username) <= {"."} else quote(username, safe="@+ ")
