"""Reads the directory of a zip file that can be read in one way only.

Zip readers differ on the loose cases: which of two equal names counts, whether names have case, whether the directory
or the record's own header is right, where a record ends. Here every such case is a refusal. Records follow each other
without gaps, each as torch writes it: header, bytes, and a data descriptor where the header announces one.
"""

import re
import struct
import zlib
from dataclasses import dataclass

from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import Limits

_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_ENTRY = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_STORED, _DEFLATED = 0, 8
_HAS_DESCRIPTOR, _UTF8_NAME = 0x0008, 0x0800

_SEGMENT = r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*"
_RECORD_NAMES = re.compile(
    r"data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/(?:serialization_id|version)"
    r"|constants\.pkl|attributes\.pkl|traced_inputs\.pkl|(?:data|constants|traced_inputs)/[0-9]{1,9}"
    rf"|(?:code|extra)/{_SEGMENT}(?:/{_SEGMENT})*"
)

_MALFORMED = "The file's zip directory is damaged or not written by PyTorch"


@dataclass(frozen=True, slots=True)
class Record:
    """Where a record's bytes and the three places that hold its checksum are, counted from the file's start."""

    name: str
    is_deflated: bool
    checksum: int
    stored_size: int
    size: int
    has_descriptor: bool
    entry: int
    header: int
    start: int

    @property
    def stop(self) -> int:
        return self.start + self.stored_size


@dataclass(frozen=True, slots=True)
class _Directory:
    start: int
    stop: int
    count: int


def read_records(buffer: memoryview, limits: Limits) -> dict[str, Record]:
    """The records by name (without the folder that all share), in the order of their bytes in the file."""
    if len(buffer) > limits.file_size:
        raise ArchiveError("The file is too large.")
    if bytes(buffer[:4]) != b"PK\x03\x04":
        raise ArchiveError(
            "The file is not a PyTorch zip archive. Save it with torch.save or torch.jit.save of PyTorch 1.6 or later."
        )
    directory = _find_directory(buffer)
    if directory.count > limits.records:
        raise ArchiveError("The file has too many records.")
    records: list[Record] = []
    folders: set[str] = set()
    at = directory.start
    for _ in range(directory.count):
        folder, record, at = _read_entry(buffer, at, directory, limits)
        folders.add(folder)
        records.append(record)
    if at != directory.stop or len(folders) != 1:
        raise ArchiveError(f"{_MALFORMED}.")
    records.sort(key=lambda record: record.header)
    _check_layout(buffer, records, directory.start)
    _check_names(records)
    if sum(record.size for record in records if record.is_deflated) > limits.code_size:
        raise ArchiveError("The file's compressed records are too large.")
    return {record.name: record for record in records}


def read_bytes(buffer: memoryview, record: Record, limit: int) -> bytes:
    """A record's bytes, inflated if need be."""
    if record.size > limit:
        raise ArchiveError(f"The record {quoted(record.name)} is too large.")
    content = bytes(buffer[record.start : record.stop])
    if record.is_deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = inflater.decompress(content, record.size + 1)
        except zlib.error:
            raise ArchiveError(f"The record {quoted(record.name)} cannot be decompressed.") from None
        if len(content) != record.size or not inflater.eof or inflater.unused_data:
            raise ArchiveError(f"The record {quoted(record.name)} does not have the size that the directory gives.")
    return content


def _find_directory(buffer: memoryview) -> _Directory:
    end = len(buffer) - _END.size
    if end < 0:
        raise ArchiveError("The file ends too early.")
    signature, disk, start_disk, count_here, count, size, start, comment = _END.unpack_from(buffer, end)
    if signature != b"PK\x05\x06" or comment or disk or start_disk or count != count_here:
        raise ArchiveError("The file does not end like a zip archive: it was cut off, or something was appended.")
    stop = end
    locator = end - _LOCATOR64.size
    if locator >= 0 and bytes(buffer[locator : locator + 4]) == b"PK\x06\x07":
        stop = locator - _END64.size
        short = (count, size, start)
        count, size, start = _read_zip64_end(buffer, stop, locator)
        fulls = (_FULL16, _FULL32, _FULL32)
        if any(a not in (b, full) for a, b, full in zip(short, (count, size, start), fulls, strict=True)):
            raise ArchiveError("The file's two zip end records contradict each other.")
    if start + size != stop or count == 0 or count * _ENTRY.size > size:
        raise ArchiveError(f"{_MALFORMED}.")
    return _Directory(start, stop, count)


def _read_zip64_end(buffer: memoryview, at: int, locator: int) -> tuple[int, int, int]:
    _, disk, where, disks = _LOCATOR64.unpack_from(buffer, locator)
    if at < 0 or where != at or disk or disks != 1:
        raise ArchiveError(f"{_MALFORMED}.")
    signature, length, _, _, disk, start_disk, count_here, count, size, start = _END64.unpack_from(buffer, at)
    if signature != b"PK\x06\x06" or length != _END64.size - 12 or disk or start_disk or count != count_here:
        raise ArchiveError(f"{_MALFORMED}.")
    return count, size, start


def _read_entry(buffer: memoryview, at: int, directory: _Directory, limits: Limits) -> tuple[str, Record, int]:
    if at + _ENTRY.size > directory.stop:
        raise ArchiveError(f"{_MALFORMED}.")
    fields = _ENTRY.unpack_from(buffer, at)
    signature, _, _, flags, method, _, _, checksum, stored_size, size = fields[:10]
    name_length, extra_length, comment, disk, _, _, header = fields[10:]
    name_at = at + _ENTRY.size
    extra_at = name_at + name_length
    following = extra_at + extra_length
    if signature != b"PK\x01\x02" or comment or disk or following > directory.stop or name_length > limits.record_name:
        raise ArchiveError(f"{_MALFORMED}.")
    raw_name = bytes(buffer[name_at:extra_at])
    folder, name = _split_name(raw_name)
    extra = bytes(buffer[extra_at:following])
    size, stored_size, header = _widen(extra, size, stored_size, header)
    if flags & ~(_HAS_DESCRIPTOR | _UTF8_NAME) or method not in (_STORED, _DEFLATED):
        raise ArchiveError(f"The record {quoted(name)} is encrypted or compressed in an unusual way.")
    if method == _DEFLATED and not name.startswith(("code/", "extra/")):
        raise ArchiveError(f"The record {quoted(name)} is compressed; only code may be.")
    if method == _STORED and size != stored_size:
        raise ArchiveError(f"The record {quoted(name)} has two sizes.")
    start = _check_header(buffer, header, directory.start, (flags, method, checksum, stored_size, size), raw_name)
    has_descriptor = bool(flags & _HAS_DESCRIPTOR)
    record = Record(name, method == _DEFLATED, checksum, stored_size, size, has_descriptor, at, header, start)
    return folder, record, following


def _split_name(raw: bytes) -> tuple[str, str]:
    if not raw.isascii():
        raise ArchiveError("The file has a record whose name is not ASCII.")
    folder, _, name = raw.decode("ascii").partition("/")
    if not folder.strip(".") or "\\" in folder or "\0" in folder or not _RECORD_NAMES.fullmatch(name):
        raise ArchiveError(f"The file has an unexpected record {quoted(f'{folder}/{name}')}.")
    return folder, name


def _widen(extra: bytes, *fields: int) -> tuple[int, ...]:
    """The 64-bit values of the zip64 extra field for those of the fields that say so."""
    wanted = sum(value == _FULL32 for value in fields)
    found = _zip64_values(extra)
    if len(found) != wanted:
        raise ArchiveError("The file's zip64 sizes are missing or contradict its directory.")
    values = iter(found)
    return tuple(next(values) if value == _FULL32 else value for value in fields)


def _zip64_values(extra: bytes) -> tuple[int, ...]:
    values: tuple[int, ...] = ()
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            raise ArchiveError(f"{_MALFORMED}.")
        tag, length = struct.unpack_from("<HH", extra, at)
        content = extra[at + 4 : at + 4 + length]
        at += 4 + length
        if tag != 1:
            continue
        if len(content) != length or length % 8 or not length or values:
            raise ArchiveError(f"{_MALFORMED}.")
        values = struct.unpack(f"<{length // 8}Q", content)
    if at != len(extra):
        raise ArchiveError(f"{_MALFORMED}.")
    return values


def _check_header(buffer: memoryview, at: int, limit: int, expected: tuple[int, ...], raw_name: bytes) -> int:
    """Where the record's bytes start, once its own header has been found to agree with the directory."""
    name_at = at + _LOCAL.size
    if name_at > limit:
        raise ArchiveError("The file's directory lists a record outside the file.")
    fields = _LOCAL.unpack_from(buffer, at)
    signature, _, flags, method, _, _, checksum, stored_size, size = fields[:9]
    name_length, extra_length = int(fields[9]), int(fields[10])
    start = name_at + name_length + extra_length
    if start > limit:
        raise ArchiveError("The file's directory lists a record outside the file.")
    extra = bytes(buffer[name_at + name_length : start])
    if _FULL32 in (size, stored_size):
        size, stored_size = _widen(extra, size, stored_size)
    elif _zip64_values(extra):
        raise ArchiveError("The file's zip64 sizes are missing or contradict its directory.")
    streamed = flags & _HAS_DESCRIPTOR and (checksum, stored_size, size) == (0, 0, 0)
    found = (flags, method, *(expected[2:] if streamed else (checksum, stored_size, size)))
    same_name = bytes(buffer[name_at : name_at + name_length]) == raw_name
    if signature != b"PK\x03\x04" or not same_name or found != expected:
        raise ArchiveError("The file's directory and a record's own header contradict each other.")
    return start


def _check_layout(buffer: memoryview, records: list[Record], directory: int) -> None:
    """Each record ends where the next begins: none overlaps another, nothing lies hidden between them."""
    following = [record.header for record in records[1:]] + [directory]
    if records[0].header != 0:
        raise ArchiveError("The file does not begin with its first record.")
    for record, next_header in zip(records, following, strict=True):
        gap = next_header - record.stop
        if gap != 0 if not record.has_descriptor else not _is_descriptor(buffer, record, gap):
            raise ArchiveError("The file's records overlap, or have other bytes between them.")


def _is_descriptor(buffer: memoryview, record: Record, length: int) -> bool:
    layout = {16: "<4sIII", 24: "<4sIQQ"}.get(length)
    if layout is None:
        return False
    fields = struct.unpack_from(layout, buffer, record.stop)
    return fields == (b"PK\x07\x08", record.checksum, record.stored_size, record.size)


def _check_names(records: list[Record]) -> None:
    seen: set[str] = set()
    for record in records:
        # torch's own reader looks names up without regard to case.
        if record.name.lower() in seen:
            raise ArchiveError(f"The file has two records named {quoted(record.name)}.")
        seen.add(record.name.lower())
