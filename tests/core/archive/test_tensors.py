"""Tensors of every type and layout, alone and in dicts and lists."""

import warnings
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from torch import nn

from fl_server_core.archive import (
    ArchiveError,
    ArchiveWriter,
    check_compatible,
    check_finite,
    copy_tensors,
    open_archive,
)
from tests.builders.files import saved
from tests.core.archive.files import bits, with_record
from tests.core.archive.test_layers import compare
from tests.memory import anonymous_memory


def quantised() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.float16,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.float8_e4m3fnuz,
        torch.float8_e5m2,
        torch.float8_e5m2fnuz,
        torch.complex64,
        torch.complex128,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.uint8,
        torch.uint16,
        torch.uint32,
        torch.uint64,
        torch.bool,
    ],
    ids=str,
)
def test_every_type_of_numbers_is_read_and_written(dtype: torch.dtype, tmp_path: Path) -> None:
    values, others = (torch.tensor(v).to(dtype) for v in ([0.0, 1.0, 3.0, 6.0], [1.0, 0.0, 2.0, 4.0]))
    with open_archive(saved({"x": values})) as template:
        assert template.tensors["x"].dtype == str(dtype).removeprefix("torch.")
        assert template.array("x").tobytes() == bits(values)
        assert template.array("x").astype(np.complex128).tolist() == values.to(torch.complex128).tolist()
        copy_tensors(template, open_archive(saved({"x": others})), tmp_path / "new.pt")
    assert (tmp_path / "new.pt").read_bytes() == saved({"x": others})


def test_bfloat16_comes_as_the_type_of_ml_dtypes() -> None:
    module = nn.Linear(2, 3).bfloat16()
    archive = open_archive(saved(module))
    assert archive.array("weight").dtype == np.dtype(ml_dtypes.bfloat16)
    compare(archive, module)


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.t(),
        lambda t: t[1:, 2:],
        lambda t: t[::2, ::3],
        lambda t: t.permute(1, 0)[1:3],
        lambda t: t[2],
        lambda t: t[1, 1],
        lambda t: t[:0],
        lambda t: t.view(2, 2, 6).permute(2, 0, 1),
    ],
    ids=["transposed", "cut", "stepped", "permuted", "row", "scalar", "empty", "three-dimensional"],
)
def test_a_view_into_a_larger_storage_is_read_and_written(view, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tensor = view(torch.arange(24.0).reshape(4, 6))
    content = saved({"x": tensor, "y": torch.ones(2)})
    template = open_archive(content)
    assert template.array("x").tolist() == tensor.tolist()
    with ArchiveWriter(template, tmp_path / "new.pt") as writer:
        writer.array("x")[...] = tensor.numpy() * 2
    tensor *= 2
    assert (tmp_path / "new.pt").read_bytes() == saved({"x": tensor, "y": torch.ones(2)})


def test_an_expanded_view_is_read_but_not_written(tmp_path: Path) -> None:
    archive = open_archive(saved({"x": torch.ones(1, 3).expand(4, 3)}))
    assert archive.array("x").tolist() == [[1.0] * 3] * 4
    with pytest.raises(ArchiveError, match="'x' is an expanded view"), ArchiveWriter(archive, tmp_path / "n") as writer:
        writer.array("x")
    assert not (tmp_path / "n").exists()


def test_a_tensor_from_a_gpu_is_read_as_any_other() -> None:
    module = nn.Linear(2, 3)
    content = with_record(
        saved(module), "data.pkl", lambda pickle: pickle.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    )
    assert b"cuda:0" in content
    archive = open_archive(content)
    archive.verify_checksums()
    compare(archive, module)


def test_a_bare_tensor_and_lists_of_tensors_are_read() -> None:
    archive = open_archive(saved(torch.arange(3.0)))
    assert archive.kind == "tensor"
    assert not archive.is_model
    assert archive.array("").tolist() == [0, 1, 2]
    for value in ([torch.ones(1), torch.zeros(2)], (torch.ones(1), torch.zeros(2))):
        archive = open_archive(saved(value))
        assert archive.kind == "list"
        assert {name: archive.array(name).tolist() for name in archive.tensors} == {"0": [1], "1": [0, 0]}


def test_a_parameter_is_a_tensor() -> None:
    assert open_archive(saved(nn.Parameter(torch.ones(2)))).array("").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"epoch": 3, "model": {"w": torch.ones(1)}}, "'epoch' is not a tensor"),
        ({1: torch.ones(1)}, "Every name in 'state_dict' must be text"),
        ("text", "holds no torch.nn.Module"),
        (torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1), "holds no torch.nn.Module"),
        ({"x": torch.eye(2).to_sparse()}, "'x' is not a tensor"),
        ({"x": torch.ones(2, device="meta")}, "'x' is not a tensor"),
        ({"x": quantised()}, "is not supported"),
        ({"x": torch.ones(2, dtype=torch.complex64).conj()}, "lazy conjugate"),
        ({"a\nb": torch.ones(1)}, "not printable"),
        ({"x" * 2000: torch.ones(1)}, "too long"),
    ],
    ids=["checkpoint", "numbered", "text", "optimizer", "sparse", "meta", "quantised", "conjugate", "newline", "long"],
)
def test_what_holds_no_plain_named_tensors_is_refused_with_a_sentence(value: object, sentence: str) -> None:
    with pytest.raises(ArchiveError, match=sentence) as refusal:
        open_archive(saved(value))
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


def test_arrays_outlive_their_archive(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(saved({"x": torch.arange(5.0)}))
    with open_archive(path) as archive:
        array = archive.array("x")
    path.unlink()
    assert array.tolist() == [0, 1, 2, 3, 4]


def test_a_mapped_file_takes_no_anonymous_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"x": torch.rand(16 << 20)}, path)
    before = anonymous_memory()
    with open_archive(path) as archive:
        archive.verify_checksums()
        check_finite(archive)
        check_compatible(archive, archive)
        assert archive.array("x").max() <= 1
        grown = anonymous_memory() - before
    assert grown < 16 << 20
