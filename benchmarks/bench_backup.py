"""How fast a backup is, compared with copying the files: the first one, one that finds nothing new, and checking it.

python benchmarks/bench_backup.py [--models 20] [--megabytes 40] [--repeat 3]

SQLite, files in a folder. Copying means each file in blocks, and flushed to the disk, as a backup's files are. The
fastest of several runs counts, because other work on the machine only adds time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a file: only its own folder is on the path

WIDTH = 1000


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Until it is done, and of the processor."""
    started, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - started, time.process_time() - spent


def set_up(data: Path) -> None:
    """A database of its own, in this process."""
    os.environ |= {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", "FL_DATA_DIR": str(data)}
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def make_models(count: int, megabytes: int) -> None:
    from tests.builders.rows import make_model, make_user

    owner = make_user("bench")
    for number in range(count):
        torch.manual_seed(number)
        make_model(owner, weights=torch.nn.Linear(WIDTH, megabytes * 10**6 // 4 // WIDTH, bias=False))


def copy_all(source: Path, target: Path) -> None:
    """Each file, flushed to the disk."""
    for path in (path for path in source.rglob("*") if path.is_file()):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        with place.open("rb") as file:
            os.fsync(file.fileno())


def bench(files: Path, folder: Path, repeat: int) -> None:
    """In turns, each run into new folders, which are removed."""
    from fl_server.backup.folder import BackupFolder
    from fl_server.backup.making import make_backup
    from fl_server.backup.manifest import read_manifest
    from fl_server.backup.verifying import problems_of

    def verify(backups: BackupFolder) -> None:
        path = backups.find(None)
        problems = list(problems_of(backups, path, read_manifest(path)))
        assert not problems, problems

    runs = []
    for _ in range(repeat):
        backups, copy = BackupFolder(folder / "backups"), folder / "copy"
        backing_up = partial(make_backup, backups, warn=print)
        copying, verifying = partial(copy_all, files, copy), partial(verify, backups)
        works: list[Callable[[], object]] = [copying, backing_up, backing_up, verifying]
        runs.append([seconds(work) for work in works])
        shutil.rmtree(copy)
        shutil.rmtree(folder / "backups")
    report(list(zip(*runs, strict=True)), files)


def report(all_times: list[tuple[tuple[float, float], ...]], files: Path) -> None:
    sizes = [path.stat().st_size for path in files.rglob("*") if path.is_file()]
    total, copying = sum(sizes) / 1e6, min(taken for taken, _ in all_times[0])
    print(f"{len(sizes)} files, {total:.0f} MB")
    for name, times in zip(("copying the files", "the first backup", "nothing new", "verify"), all_times, strict=True):
        taken, spent = (min(each) for each in zip(*times, strict=True))
        print(
            f"  {name:<18} {taken:7.3f} s   {total / taken:7.0f} MB/s   {taken / copying:5.2f} times copying   "
            f"{spent:.3f} s of the processor"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--megabytes", type=int, default=40, help="size of a model")
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fl-bench-") as name:
        data = Path(name) / "data"
        data.mkdir()
        set_up(data)
        make_models(arguments.models, arguments.megabytes)
        bench(data / "files", Path(name), arguments.repeat)


if __name__ == "__main__":
    main()
