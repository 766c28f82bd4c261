"""The safetensors format, read and written; the package itself says what is right."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from fl_server_core.archive import (
    ArchiveError,
    SafetensorsExport,
    SafetensorsFile,
    check_compatible,
    check_finite,
    copy_tensors,
    open_archive,
    open_tensors,
)
from tests.builders.files import saved, scripted
from tests.core.archive.files import bits, load_module

TYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.bool),
    *(torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint64, torch.uint32, torch.uint16, torch.uint8),
]


def exported(content: bytes) -> bytes:
    export = SafetensorsExport(open_archive(content))
    read = export.read()
    assert len(read) == export.size
    return read


def file_of(table: str | bytes, data: bytes = b"") -> bytes:
    table = table.encode() if isinstance(table, str) else table
    return struct.pack("<Q", len(table)) + table + data


def entry(dtype: str = "F32", shape: object = (1,), places: object = (0, 4), **more: object) -> str:
    return json.dumps({"dtype": dtype, "shape": shape, "data_offsets": places, **more})


def sample(dtype: torch.dtype) -> torch.Tensor:
    values = torch.arange(6).reshape(2, 3)
    return values > 2 if dtype == torch.bool else values.to(dtype)


class TestReading:
    @pytest.mark.parametrize("dtype", TYPES, ids=str)
    def test_what_the_package_writes_has_its_values(self, dtype: torch.dtype) -> None:
        tensors = {
            "a.weight": sample(dtype),
            "scalar": sample(dtype)[0, 1],
            "empty": sample(dtype)[:0],
            "é": sample(dtype),
        }
        with open_tensors(safetensors.torch.save(tensors, {"note": 'a {"b": "}'})) as file:
            assert isinstance(file, SafetensorsFile)
            assert set(file.tensors) == set(tensors)
            for name, tensor in tensors.items():
                assert file.tensors[name].shape == tuple(tensor.shape)
                assert file.tensors[name].dtype == str(dtype).removeprefix("torch.")
                assert file.array(name).tobytes() == bits(tensor)
                assert not file.array(name).flags.writeable

    def test_by_its_path_too(self, tmp_path: Path) -> None:
        safetensors.torch.save_file({"a": torch.rand(3)}, tmp_path / "a.safetensors")
        with open_tensors(tmp_path / "a.safetensors") as file:
            array = file.array("a")
        assert array.shape == (3,)
        with pytest.raises(ValueError, match="closed"):
            file.array("a")

    def test_a_file_without_tensors_is_one(self) -> None:
        with open_tensors(safetensors.torch.save({})) as file:
            assert dict(file.tensors) == {}

    def test_an_archive_is_still_an_archive_and_anything_else_is_told_so(self) -> None:
        assert open_tensors(saved(torch.ones(1))).tensors[""].size == 1
        for content in (b"", b"{}", b"abc", bytes(100), file_of("{}")[:9]):
            with pytest.raises(ArchiveError, match="is not a PyTorch zip archive"):
                open_tensors(content)

    @pytest.mark.parametrize(
        ("table", "data"),
        [
            ("{", b""),
            ("{]", b""),
            ("{}x", b""),
            ('{"a":1}', b""),
            ('{"a":{}}', b""),
            ('{"a":' + entry() + "}", b"123"),
            ('{"a":' + entry() + "}", b"12345"),
            ('{"a":' + entry() + ',"a":' + entry() + "}", b"1234"),
            ('{"a":' + entry() + ',"\\u0061":' + entry(places=(4, 8)) + "}", b"12345678"),
            ('{"a":' + entry() + ',"b":' + entry() + "}", b"1234"),
            ('{"a":' + entry() + ',"b":' + entry(places=(8, 12)) + "}", b"123456789012"),
            ('{"a":' + entry(places=(4, 8)) + "}", b"12345678"),
            ('{"a":' + entry(places=(4, 0)) + "}", b"1234"),
            ('{"a":' + entry(places=(-4, 0)) + "}", b"1234"),
            ('{"a":' + entry(places=(0, 2**63)) + "}", b"1234"),
            ('{"a":' + entry(places=(0, 4.0)) + "}", b"1234"),
            ('{"a":' + entry(places=(0, 4, 8)) + "}", b"1234"),
            ('{"a":' + entry(shape=(2,)) + "}", b"1234"),
            ('{"a":' + entry(shape=(-1, -1)) + "}", b"1234"),
            ('{"a":' + entry(shape=(True,)) + "}", b"1234"),
            ('{"a":' + entry(shape=[1] * 33) + "}", b"1234"),
            ('{"a":' + entry(shape=1) + "}", b"1234"),
            ('{"a":' + entry(shape=(0, 2**70), places=(0, 0)) + "}", b""),
            ('{"a":' + entry("F4", (8,)) + "}", b"1234"),
            ('{"a":' + entry("float32") + "}", b"1234"),
            ('{"a":' + entry(more=1) + "}", b"1234"),
            ('{"a":' + entry()[:-1] + ',"dtype":"F32"}}', b"1234"),
            ('{"a":' + entry() + ",}", b"1234"),
            ('{"\\q":' + entry() + "}", b"1234"),
            ('{"a\\n":' + entry() + "}", b"1234"),
            ('{"a":' + entry()[:-1] + ',"x":' + "[" * 3000 + "}}", b"1234"),
            ('{"a":' + entry()[:-1] + ',"x":' + "9" * 4000 + "}}", b"1234"),
            (b'{"\xff":{}}', b""),
        ],
    )
    def test_what_is_malformed_is_refused(self, table: str | bytes, data: bytes) -> None:
        with pytest.raises(ArchiveError) as caught:
            open_tensors(file_of(table, data))
        assert str(caught.value).endswith(".")

    def test_spaces_and_any_order_are_fine(self) -> None:
        table = ' { "b" : { "shape":[ 1 ] , "data_offsets":[4,8], "dtype":"F32"},\n"a":' + entry() + " }   "
        with open_tensors(file_of(table.lstrip(), b"\0\0\x80\x3f\0\0\0\x40")) as file:
            assert {name: file.array(name).tolist() for name in file.tensors} == {"b": [2.0], "a": [1.0]}

    def test_sizes_and_counts_are_bounded(self) -> None:
        with pytest.raises(ArchiveError, match="header is too large"):
            open_tensors(file_of("{" + " " * (8 << 20) + "}"))
        many = ",".join(f'"{number}":' + entry(shape=(0,), places=(0, 0)) for number in range(25_001))
        with pytest.raises(ArchiveError, match="too many tensors"):
            open_tensors(file_of("{" + many + "}"))

    def test_values_at_odd_places_are_checked_and_copied(self, tmp_path: Path) -> None:
        tensors = {"odd": torch.tensor([True]), "a": torch.rand(5), "b": torch.rand(3).bfloat16()}
        table = {
            "odd": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]},
            "a": {"dtype": "F32", "shape": [5], "data_offsets": [1, 21]},
            "b": {"dtype": "BF16", "shape": [3], "data_offsets": [21, 27]},
        }
        content = file_of(json.dumps(table), b"".join(bits(tensor) for tensor in tensors.values()))
        model = {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}
        with open_tensors(content) as file, open_archive(saved(model)) as reference:
            check_finite(file, reference)
            copy_tensors(reference, file, tmp_path / "copy.pt")
        assert (tmp_path / "copy.pt").read_bytes() == saved(tensors)


class TestExport:
    @pytest.mark.parametrize("save", [saved, scripted], ids=["pickled", "scripted"])
    def test_the_package_reads_a_models_tensors(self, save: object, tmp_path: Path) -> None:
        module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(3, 4))
        content = exported(saved(module) if save is saved else scripted(module))
        (tmp_path / "a.safetensors").write_bytes(content)
        with safetensors.safe_open(tmp_path / "a.safetensors", "pt") as file:
            assert file.metadata() == {"format": "pt"}
        read = safetensors.torch.load(content)
        state = module.state_dict()
        assert set(read) == set(state)
        assert all(torch.equal(read[name], tensor) for name, tensor in state.items())

    @pytest.mark.parametrize("dtype", TYPES, ids=str)
    def test_of_every_type_and_layout(self, dtype: torch.dtype) -> None:
        whole = sample(dtype)
        state = {"whole": whole, "turned": whole.t(), "tied": whole, "part": whole[1:, ::2], "one": whole[0, 0]}
        read = safetensors.torch.load(exported(saved({**state, "empty": whole[:0]})))
        assert {name: bits(tensor) for name, tensor in read.items() if name != "empty"} == {
            name: bits(tensor.clone()) for name, tensor in state.items()
        }
        assert read["empty"].shape == (0, 3)

    def test_every_part_of_it_can_be_read(self) -> None:
        content = saved(
            {"a": torch.rand(7, 3).t(), "b": torch.arange(5), "c": torch.tensor([True]), "d": torch.rand(1)}
        )
        whole = exported(content)
        export = SafetensorsExport(open_archive(content))
        assert (export.seek(0, 2), export.tell()) == (len(whole), len(whole))
        assert export.read(10) == b""
        for start in range(0, len(whole), 5):
            for size in (1, 6, 64, 1000):
                export.seek(start)
                assert export.read(size) == whole[start : start + size]

    def test_a_vector_and_an_empty_state_dict_are_fine(self) -> None:
        assert safetensors.torch.load(exported(saved({}))) == {}
        assert safetensors.torch.load(exported(saved(torch.ones(2))))[""].tolist() == [1, 1]

    def test_what_the_format_cannot_say_is_refused(self) -> None:
        for state in ({"x": torch.ones(1, dtype=torch.complex128)}, {"__metadata__": torch.ones(1)}):
            with pytest.raises(ArchiveError, match="The safetensors format has no tensors of"):
                SafetensorsExport(open_archive(saved(state)))

    def test_a_small_memory_of_many_names_is_refused(self) -> None:
        tied = torch.zeros(100_000)
        assert len(exported(saved({"a": tied, "b": tied}))) > 800_000
        with pytest.raises(ArchiveError, match="share memory"):
            SafetensorsExport(open_archive(saved({f"n{number}": tied for number in range(100)})))


def test_an_update_in_this_format_becomes_the_models_own_file(tmp_path: Path) -> None:
    model, update = nn.Linear(3, 2), nn.Linear(3, 2)
    with open_archive(saved(model)) as reference, open_tensors(safetensors.torch.save(update.state_dict())) as values:
        check_compatible(reference, values)
        copy_tensors(reference, values, tmp_path / "update.pt")
    content = (tmp_path / "update.pt").read_bytes()
    assert content == saved(update)
    assert torch.equal(load_module(content).state_dict()["weight"], update.weight)
    with open_archive(saved(model)) as reference, open_tensors(safetensors.torch.save({"w": torch.ones(1)})) as values:
        with pytest.raises(ArchiveError, match="'weight' of the model is missing"):
            check_compatible(reference, values)
        with pytest.raises(ArchiveError):
            check_compatible(values, reference)


def test_a_nan_is_found() -> None:
    file = open_tensors(safetensors.torch.save({"x": torch.tensor([1, np.nan])}))
    with pytest.raises(ArchiveError, match="not finite"):
        check_finite(file)
