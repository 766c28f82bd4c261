"""Files that are described as one that was read before, without their pickles being read again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fl_server_core.archive import Archive, ArchiveError, open_archive
from fl_server_core.archive import description as description_module
from fl_server_core.archive.limits import Limits
from fl_server_core.archive.pickle import read_pickle
from tests.builders.files import saved, scripted
from tests.core.archive.files import directory_entry, packed, patched, records_of, with_record


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each pickle that is read."""
    seen: list[int] = []
    original = read_pickle

    def counted(data: bytes, limits: Limits) -> object:
        seen.append(len(data))
        return original(data, limits)

    monkeypatch.setattr(description_module, "read_pickle", counted)
    return seen


def facts(archive: Archive) -> tuple[object, ...]:
    return archive.kind, dict(archive.tensors), archive.parameter_names, archive.globals, archive.attribute_calls


@pytest.mark.parametrize("write", [saved, scripted, lambda m: saved(m.state_dict())], ids=["module", "script", "dict"])
def test_an_update_is_described_as_the_model_and_has_values_of_its_own(
    write: Callable[[nn.Module], bytes], read: list[int]
) -> None:
    model, update = network(), network()
    with open_archive(write(model)) as first, open_archive(write(update), like=first) as second:
        assert len(read) == 1
        assert facts(second) == facts(first)
        second.verify_checksums()
        for name, tensor in update.state_dict().items():
            np.testing.assert_array_equal(second.array(name), tensor.numpy())


def test_a_mapped_file_too_and_after_the_first_is_closed(tmp_path: Path, read: list[int]) -> None:
    for number in range(2):
        torch.save({"x": torch.full((3,), number)}, tmp_path / f"{number}.pt")
    with open_archive(tmp_path / "0.pt") as first:
        second = open_archive(tmp_path / "1.pt", like=first)
    assert (second.array("x").tolist(), len(read)) == ([1, 1, 1], 1)


@pytest.mark.parametrize(
    "other",
    [
        lambda: saved(network(4)),
        lambda: saved(network().state_dict()),
        lambda: scripted(network()),
        lambda: saved(network().half()),
    ],
    ids=["other shapes", "other kind", "scripted", "other types"],
)
def test_any_other_file_is_read_itself(other: Callable[[], bytes], read: list[int]) -> None:
    content = other()
    with open_archive(saved(network())) as first:
        found = open_archive(content, like=first)
    assert facts(found) == facts(open_archive(content))
    assert len(read) == 3


def test_code_of_another_size_or_content_is_read_itself(read: list[int]) -> None:
    content = scripted(nn.Linear(2, 3))
    name = next(name for name, code in records_of(content).items() if name.endswith(".py") and b'"bias"' in code)
    edited = with_record(content, name.removeprefix("archive/"), lambda code: code.replace(b'"bias"', b'"bIas"'))
    with open_archive(content) as first, pytest.raises(ArchiveError, match="'bIas'"):
        open_archive(edited, like=first)
    assert len(read) == 2


def test_a_checksum_of_the_pickle_that_is_wrong_is_found(read: list[int]) -> None:
    content = saved({"x": torch.zeros(3)})
    records = records_of(content)
    honest = packed(records)
    wrong = patched(honest, directory_entry(honest, "data.pkl") + 16, "<I", 7)
    wrong = patched(wrong, 14, "<I", 7)
    with open_archive(honest) as first, pytest.raises(ArchiveError, match=r"'data\.pkl' differs from its checksum"):
        open_archive(wrong, like=first)


def test_a_damaged_zip_is_refused_as_ever() -> None:
    content = saved({"x": torch.zeros(3)})
    with open_archive(content) as first:
        for damaged in (content[:-1], content + b"x", content[:40] + b"?" + content[41:]):
            with pytest.raises(ArchiveError):
                open_archive(damaged, like=first)


def test_a_record_of_another_size_is_missed() -> None:
    records = records_of(saved({"x": torch.zeros(3)}))
    with open_archive(packed(records)) as first:
        records["archive/data/0"] += b"\0" * 4
        with pytest.raises(ArchiveError, match=r"'data/0' is missing or does not have"):
            open_archive(packed(records), like=first)


def test_stricter_limits_count(read: list[int]) -> None:
    content = saved(network())
    with open_archive(content) as first, pytest.raises(ArchiveError, match="too large"):
        open_archive(content, limits=Limits(pickle_size=10), like=first)
