"""TorchScript models that try what a model should not, as their owners would upload them."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from tests.ai.sandbox.sandboxes import scripted_class
from tests.builders.files import linear, saved, scripted


class LoopsForEver(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        while bool((x == x).all()):
            x = x * 1.0
        return x


class LeavesATaskBehind(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        task = torch.jit.fork(spin, x)  # type: ignore[no-untyped-call]
        if bool(x.sum() > 1e9):  # never; but a task that nobody may wait for is optimised away
            x = torch.jit.wait(task)  # type: ignore[no-untyped-call]
        return x


def spin(x: torch.Tensor) -> torch.Tensor:
    while bool((x == x).all()):
        x = x * 1.0
    return x


class AllocatesWithoutEnd(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [x]
        while len(kept) > 0:
            kept.append(torch.empty([x.numel() << 22]))
        return torch.stack(kept)


class GrowsAList(torch.nn.Module):
    """Memory that is not a tensor's: C++ says `std::bad_alloc`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = [0]
        while len(kept) > 0:
            kept = kept + kept
        return x


class ReadsAFile(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file(self.path, False, 10, dtype=torch.uint8).float() + x.sum()


class WritesAFile(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.from_file(self.path, True, 10, dtype=torch.uint8).fill_(65).float() + x.sum()


class Writer:
    """Writes a file when it is read from an archive. Not a module: its state is no state of tensors."""

    def __init__(self, path: str):
        self.path = path

    def __getstate__(self) -> str:
        return self.path

    def __setstate__(self, path: str) -> None:
        self.path = path
        written = torch.from_file(path, True, 10, dtype=torch.uint8).fill_(65)
        if bool(written.sum() < 0):  # never; but what nobody looks at is optimised away
            self.path = ""


class WritesAFileWhenLoaded(torch.nn.Module):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))
        self.writer = scripted_class(Writer)(path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight + len(self.writer.path)


class Prints(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("hello, server")  # noqa: T201 - that is what it is for
        return x


class AnswersAtLength(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros([1_000_000])


class Remembers(torch.nn.Module):
    """Answers with how many requests it has seen before."""

    seen: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = self.seen.clone()
        self.seen.add_(1.0)
        return before


class RaisesItsOwnError(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError("only on Tuesdays")


class Honest(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


class NamesOsSystem:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


def names_os_system(path: Path) -> bytes:
    """A pickled module that would make a file when it is loaded."""
    model = linear()
    vars(model)["extra"] = NamesOsSystem(path)
    return saved(model)


def crashes_the_parser() -> bytes:
    """A module's code with 200,000 parentheses, one in the other: the parser calls itself for each."""
    return _with_code(b"torch.add(x, 1)", b"(" * 200_000 + b"x" + b")" * 200_000)


def _with_code(old: bytes, new: bytes) -> bytes:
    import io
    import zipfile

    source = zipfile.ZipFile(io.BytesIO(scripted(Honest())))
    target = io.BytesIO()
    replaced = False
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for item in source.infolist():
            content = source.read(item)
            if old in content:
                content, replaced = content.replace(old, new), True
            archive.writestr(item.filename, content)
    assert replaced
    return target.getvalue()
