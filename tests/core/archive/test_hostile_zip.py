"""Archives that were made to do harm, or were damaged: each is refused with a sentence for its sender."""

import io
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from fl_server_core.archive import ArchiveError, open_archive
from fl_server_core.archive.limits import Limits
from tests.builders.files import saved, scripted
from tests.core.archive.files import (
    crc,
    directory_entry,
    local_header,
    packed,
    patched,
    read_record,
    records_of,
    with_record,
)
from tests.core.archive.refusals import refusal

CONTENT = saved({"x": torch.arange(4.0), "y": torch.ones(2)})


def entry_field(content: bytes, record: str, offset: int, layout: str, value: int) -> bytes:
    return patched(content, directory_entry(content, record) + offset, layout, value)


def header_field(content: bytes, record: str, offset: int, layout: str, value: int) -> bytes:
    return patched(content, local_header(content, record) + offset, layout, value)


class TestZip:
    @pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x00" * 100, b"hello " * 20])
    def test_what_is_no_zip_is_refused(self, content: bytes) -> None:
        assert "PyTorch zip archive" in refusal(content) or "ends too early" in refusal(content)

    def test_the_format_of_old_torch_versions_is_refused(self) -> None:
        buffer = io.BytesIO()
        torch.save(nn.Linear(1, 1), buffer, _use_new_zipfile_serialization=False)
        assert "PyTorch 1.6 or later" in refusal(buffer.getvalue())

    @pytest.mark.parametrize("size", [5, 30, 64, 200, 500, len(CONTENT) - 100, len(CONTENT) - 30, len(CONTENT) - 1])
    def test_a_file_that_is_cut_off_is_refused(self, size: int) -> None:
        refusal(CONTENT[:size])

    def test_anything_before_or_after_the_archive_is_refused(self) -> None:
        assert "appended" in refusal(CONTENT + b"\x00")
        refusal(b"PK\x03\x04" + CONTENT)

    def test_a_comment_is_refused(self) -> None:
        refusal(patched(CONTENT, len(CONTENT) - 2, "<H", 3) + b"abc")

    def test_two_records_of_one_name_are_refused(self) -> None:
        records = records_of(CONTENT) | {"archive/data/9": b"\0" * 16}
        content = packed(records).replace(b"archive/data/9", b"archive/data/0")
        assert "two records named 'data/0'" in refusal(content)

    def test_names_that_differ_in_case_only_are_refused(self) -> None:
        records = records_of(scripted(nn.Linear(1, 1)))
        records["archive/code/A.py"] = records["archive/code/a.py"] = b""
        assert "two records named" in refusal(packed(records))

    @pytest.mark.parametrize("name", ["DATA/0", "Version", "data.PKL"])
    def test_a_name_of_another_case_is_refused(self, name: str) -> None:
        assert "unexpected record" in refusal(packed(records_of(CONTENT) | {f"archive/{name}": b""}))

    @pytest.mark.parametrize(
        "name",
        [
            "archive/../evil",
            "archive/code/../../evil",
            "archive/code//x",
            "archive/code/.",
            "archive/code/..",
            "../data/5",
            "/data/5",
            "data/5",
            "..",
            "archive\\data/5",
            "archive/data/5/",
            "archive/data/-1",
            "archive/data/1234567890",
            "archive/évil",
            "archive/",
            "other/data/5",
        ],
    )
    def test_a_record_outside_the_folder_or_of_an_unknown_name_is_refused(self, name: str) -> None:
        refusal(packed(records_of(CONTENT) | {name: b""}))

    def test_a_compressed_tensor_is_refused(self) -> None:
        assert "'data/0' is compressed" in refusal(packed(records_of(CONTENT), deflated=("archive/data/0",)))

    def test_code_that_inflates_beyond_all_measure_is_refused(self) -> None:
        records = records_of(scripted(nn.Linear(1, 1))) | {"archive/code/bomb.py": b"\n" * (64 << 20)}
        assert "compressed records are too large" in refusal(packed(records, deflated=("archive/code/bomb.py",)))

    def test_code_that_lies_about_its_size_is_refused(self) -> None:
        records = records_of(scripted(nn.Linear(1, 1)))
        name = next(name for name, code in records.items() if b"__parameters__" in code)
        content = packed(records, deflated=(name,))
        name = name.removeprefix("archive/")
        for size in (10, 100_000):
            changed = entry_field(header_field(content, name, 22, "<I", size), name, 24, "<I", size)
            assert "does not have the size that the directory gives" in refusal(changed)

    @pytest.mark.parametrize("compression", [1, 9, 12, 14, 99])
    def test_other_compressions_are_refused(self, compression: int) -> None:
        assert "unusual way" in refusal(entry_field(CONTENT, "data/0", 10, "<H", compression))

    def test_encryption_is_refused(self) -> None:
        assert "encrypted" in refusal(entry_field(CONTENT, "data/0", 8, "<H", 0x0809))

    @pytest.mark.parametrize(
        ("offset", "layout", "value"),
        [(0, "<I", 0), (6, "<H", 0), (8, "<H", 8), (14, "<I", 1), (18, "<I", 1), (22, "<I", 7), (30, "<B", 65)],
        ids=["signature", "flags", "method", "checksum", "stored size", "size", "name"],
    )
    def test_a_record_whose_own_header_says_otherwise_is_refused(self, offset: int, layout: str, value: int) -> None:
        assert "contradict" in refusal(header_field(CONTENT, "data/0", offset, layout, value))

    def test_records_that_overlap_are_refused(self) -> None:
        content = packed(records_of(CONTENT))
        start = local_header(content, "data/0")
        changed = entry_field(content, "data/1", 42, "<I", start)
        refusal(changed)
        moved = packed({**records_of(CONTENT), "archive/data/2": content[start : start + 60]})
        inner = local_header(moved, "data/2") + 30 + len("archive/data/2")
        changed = entry_field(moved, "data/0", 42, "<I", inner)
        assert "overlap" in refusal(changed)

    def test_bytes_that_belong_to_no_record_are_refused(self) -> None:
        content = packed(records_of(CONTENT))
        directory = content.index(b"PK\x01\x02")
        changed = content[:directory] + b"hidden" + content[directory:]
        assert "other bytes between" in refusal(patched(changed, len(changed) - 6, "<I", directory + 6))

    def test_a_record_beyond_the_end_is_refused(self) -> None:
        assert "outside the file" in refusal(entry_field(CONTENT, "data/0", 42, "<I", len(CONTENT)))

    def test_a_data_descriptor_that_says_otherwise_is_refused(self) -> None:
        descriptor = CONTENT.index(b"PK\x07\x08")
        for offset in (0, 4, 8, 12):
            refusal(patched(CONTENT, descriptor + offset, "<I", 5))

    def test_end_records_that_contradict_each_other_are_refused(self) -> None:
        for offset, layout in ((-14, "<H"), (-12, "<H"), (-10, "<I"), (-6, "<I")):
            assert refusal(patched(CONTENT, len(CONTENT) + offset, layout, 3))

    @pytest.mark.parametrize("offset", [4, 16, 20, 24, 32, 40, 48, 56, 64, 72])
    def test_a_changed_zip64_end_record_or_locator_is_refused(self, offset: int) -> None:
        end = len(CONTENT) - 98
        changed = bytearray(CONTENT)
        changed[end + offset] ^= 3
        refusal(bytes(changed))

    def test_sizes_in_a_zip64_field_must_agree(self, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in records_of(CONTENT).items():
                with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as record:
                    record.write(content)
        content = buffer.getvalue()
        assert open_archive(content).array("x").tolist() == [0, 1, 2, 3]
        field = local_header(content, "data/0") + 30 + len("archive/data/0")
        assert struct.unpack_from("<HHQQ", content, field) == (1, 16, 16, 16)
        for offset in (0, 2, 4, 12):
            refusal(patched(content, field + offset, "<H", 17))

    def test_a_zip64_field_that_nothing_asks_for_is_refused(self) -> None:
        records = records_of(CONTENT)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in records.items():
                info = zipfile.ZipInfo(name)
                info.extra = struct.pack("<HHQ", 1, 8, 16)
                archive.writestr(info, content)
        assert "zip64" in refusal(buffer.getvalue())

    def test_a_changed_byte_of_a_tensor_is_found_by_its_checksum(self) -> None:
        at = CONTENT.index(struct.pack("<4f", 0, 1, 2, 3))
        assert "'data/0' differs from its checksum" in refusal(patched(CONTENT, at, "<B", 1))

    def test_a_changed_byte_of_the_pickle_is_found_at_once(self) -> None:
        with pytest.raises(ArchiveError, match=r"'data\.pkl' differs from its checksum"):
            open_archive(CONTENT.replace(b"OrderedDict", b"OrderedDuct", 1))

    def test_too_many_records_are_refused(self) -> None:
        records = records_of(CONTENT) | {f"archive/data/{number}": b"" for number in range(10, 40)}
        assert "too many records" in refusal(packed(records), Limits(records=20))

    def test_too_large_a_file_is_refused(self) -> None:
        assert "too large" in refusal(CONTENT, Limits(file_size=100))
        assert "too large" in refusal(CONTENT, Limits(pickle_size=10))

    @pytest.mark.parametrize("record", ["data.pkl", "version", "data/1"])
    def test_a_missing_record_is_refused(self, record: str) -> None:
        records = records_of(CONTENT)
        del records[f"archive/{record}"]
        assert record in refusal(packed(records))

    def test_a_big_endian_or_unknown_format_is_refused(self) -> None:
        assert "big-endian" in refusal(with_record(CONTENT, "byteorder", lambda _: b"big"))
        assert "unknown version" in refusal(with_record(CONTENT, "version", lambda _: b"99\n"))


def test_a_checksum_is_not_what_the_tests_rely_on() -> None:
    record = read_record(CONTENT, "data/0")
    assert struct.unpack_from("<I", CONTENT, directory_entry(CONTENT, "data/0") + 16)[0] == crc(record)
