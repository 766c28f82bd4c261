"""What is done with each mutant and each pair, in a process of its own. Without torch, which would not fit into it."""

import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fl_server_core.archive import (
    Archive,
    ArchiveError,
    ArchiveWriter,
    SafetensorsExport,
    SafetensorsFile,
    check_compatible,
    check_finite,
    copy_tensors,
    dangerous_globals,
    foreign_globals,
    open_archive,
    open_tensors,
)
from tests.core.archive.mutations import mutant
from tests.core.archive.pairs import Views, as_archive, as_safetensors, fits, make_pair
from tests.core.archive.table_mutations import damaged_table

ONE_IN = 500
"""Of so many pairs one has megabytes under thousands of names."""


@dataclass(frozen=True)
class Limit:
    memory: int = 1 << 30
    seconds: int = 5
    processor_seconds: float = 1.0


@dataclass
class Tally:
    mutants: int = 0
    accepted: int = 0
    refused: int = 0
    pairs: int = 0
    fitting: int = 0
    sentences: int = 0
    slowest: float = 0.0
    megabytes: int = 0

    def __str__(self) -> str:
        return (
            f"{self.mutants} mutants of real files: {self.accepted} accepted, {self.refused} refused with "
            f"{self.sentences} different sentences. {self.pairs} pairs, {self.fitting} of which fit. The slowest took "
            f"{self.slowest:.2f} s of the processor, the largest process had {self.megabytes} MB"
        )


@dataclass
class Trials:
    folder: Path
    limit: Limit
    tally: Tally = field(default_factory=Tally)
    sentences: set[str] = field(default_factory=set)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """One use of a file, within the limits. Raises ArchiveError as it comes, once its sentence is looked at."""
        start = time.process_time()
        signal.alarm(self.limit.seconds)
        try:
            yield
        except ArchiveError as error:
            sentence = str(error)
            assert sentence.isprintable(), sentence
            assert sentence.endswith("."), sentence
            assert len(sentence) < 400, sentence
            self.sentences.add(sentence)
            raise
        finally:
            signal.alarm(0)
            taken = time.process_time() - start
            self.tally.slowest = max(self.tally.slowest, taken)
            assert taken < self.limit.processor_seconds, f"It took {taken} s."


def try_all(folder: Path, mutants: int, pairs: int, seed: int, limit: Limit) -> Tally:
    resource.setrlimit(resource.RLIMIT_AS, (limit.memory, limit.memory))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # not to be caught: it also ends what hangs outside of Python
    trials, chance = Trials(folder, limit), random.Random(seed)
    _try_mutants(trials, mutants, chance)
    for number in range(pairs):
        _try_pair(trials, chance, is_large=number % ONE_IN == ONE_IN - 1)
    trials.tally.sentences = len(trials.sentences)
    trials.tally.megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return trials.tally


def _try_mutants(trials: Trials, mutants: int, chance: random.Random) -> None:
    originals = [path.read_bytes() for path in sorted(trials.folder.glob("*.original"))]
    references = [open_tensors(content) for content in originals]
    archives = [one for one, read in zip(originals, references, strict=True) if isinstance(read, Archive)]
    path = trials.folder / "tried.pt"
    for number in range(mutants):
        index = chance.randrange(len(originals))
        is_archive = isinstance(references[index], Archive)
        content = mutant(originals[index], archives, chance) if is_archive else damaged_table(originals[index], chance)
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        try:
            with trials.watched():
                _use(path, references[index], by_path=number % 2 == 0)
            trials.tally.accepted += 1
        except ArchiveError:
            trials.tally.refused += 1
        trials.tally.mutants += 1


def _use(path: Path, reference: Archive | SafetensorsFile, *, by_path: bool) -> None:
    """Everything that the server does with an upload. Refusals after the opening count as refusals, too."""
    with open_tensors(path if by_path else path.read_bytes()) as file:
        for name, info in file.tensors.items():
            array = file.array(name)
            assert array.shape == info.shape
            array.tobytes()
        if isinstance(file, Archive):
            foreign_globals(file, ["package.*"])
            dangerous_globals(file)
            assert file.parameter_count >= 0
            _write(file, path.with_name("as_template.pt"))
        file.verify_checksums()
        check_finite(file, reference)
        check_compatible(file, reference)
        check_compatible(reference, file)
        if isinstance(reference, Archive):
            copy_tensors(reference, file, path.with_name("copy.pt"), sync=False)
        if isinstance(file, Archive):
            _export(file)


def _write(archive: Archive, path: Path) -> None:
    with ArchiveWriter(archive, path, sync=False) as writer:
        for name in archive.tensors:
            target = writer.array(name)
            np.copyto(target, np.zeros_like(target), casting="no")
    with open_archive(path) as written:
        assert list(written.tensors.values()) == list(archive.tensors.values())


def _export(archive: Archive) -> None:
    export = SafetensorsExport(archive)
    with open_tensors(export.read()) as file:
        for name in archive.tensors:
            assert file.array(name).tobytes() == archive.array(name).tobytes()


def _try_pair(trials: Trials, chance: random.Random, *, is_large: bool) -> None:
    reference, candidate = make_pair(chance, is_large=is_large)
    paths = trials.folder / "tried_reference.pt", trials.folder / "tried_candidate.pt"
    paths[0].write_bytes(as_archive(reference))
    paths[1].write_bytes(as_safetensors(candidate) if not is_large and chance.random() < 0.3 else as_archive(candidate))
    trials.tally.pairs += 1
    is_told_to_fit = True
    try:
        with trials.watched(), open_archive(paths[0]) as model, open_tensors(paths[1]) as update:
            check_compatible(model, update)
            check_finite(update, model)
    except ArchiveError as error:
        is_told_to_fit = "finite" in str(error) or "infinities" in str(error)
        if not is_told_to_fit and "share memory in the model" not in str(error):
            return
    trials.tally.fitting += is_told_to_fit
    if not is_large and not any(_repeats(reference, name) for name in reference.places):
        assert is_told_to_fit == fits(reference, candidate)


def _repeats(views: Views, name: str) -> bool:
    """Does one element stand for two?"""
    numbers = Views([np.arange(one.size, dtype=np.float32) for one in views.storages], views.places).array(name)
    return len(np.unique(numbers)) < numbers.size
