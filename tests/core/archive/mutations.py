"""Ways to damage an archive. Without torch, so that they run within a small limit on memory."""

import io
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable

_EDGES = (0, 1, 2, 3, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_FIELDS = {
    b"PK\x03\x04": ((4, "H"), (6, "H"), (8, "H"), (14, "I"), (18, "I"), (22, "I"), (26, "H"), (28, "H")),
    b"PK\x01\x02": ((8, "H"), (10, "H"), (16, "I"), (20, "I"), (24, "I"), (28, "H"), (30, "H"), (32, "H"), (42, "I")),
    b"PK\x05\x06": ((4, "H"), (6, "H"), (8, "H"), (10, "H"), (12, "I"), (16, "I"), (20, "H")),
    b"PK\x06\x06": ((4, "Q"), (16, "I"), (20, "I"), (24, "Q"), (32, "Q"), (40, "Q"), (48, "Q")),
    b"PK\x06\x07": ((4, "I"), (8, "Q"), (16, "I")),
    b"PK\x07\x08": ((4, "I"), (8, "I"), (12, "I")),
}
_OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
_SNIPPETS = [
    b"q\x00",
    b"h\x00",
    b"h\x01",
    b"(",
    b"0",
    b"2",
    b"\x85",
    b"\x86R",
    b"N",
    b"}",
    b"]",
    b")",
    b"b",
    b"s",
    b"a",
    b"u",
    b"e",
    b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x8a\x08" + bytes(7) + b"\x80",
    b"\x8a\xff" + b"\x7f" * 255,
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"X\xff\xff\xff\x7f",
    b"cos\nsystem\n",
    b"cbuiltins\ngetattr\n",
    b"c__builtin__\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R",
    b"\x85" * 1500,
    b"ccollections\nOrderedDict\n)R",
    b"X\x03\x00\x00\x00\xed\xa0\x80",
]


def mutant(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """The content after one to three mutations of one kind."""
    mutate = chance.choice(_KINDS)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = mutate(content, others, chance)
    return content


def _flip_bits(content: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    cut = chance.randrange(len(content) + 1)
    return content[:cut] if chance.random() < 0.7 else content[cut:]


def _splice(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    source = chance.choice([content, *others])
    start = chance.randrange(len(source) + 1)
    piece = source[start : start + chance.choice((1, 4, 16, 64, 512))]
    at = chance.randrange(len(content) + 1)
    return content[:at] + piece + content[at + chance.choice((0, len(piece))) :]


def _edit_zip_field(content: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    signature = chance.choice(list(_FIELDS))
    places = [at for at in range(len(content) - 3) if content[at : at + 4] == signature]
    if not places:
        return content
    offset, code = chance.choice(_FIELDS[signature])
    at = chance.choice(places) + offset
    size = struct.calcsize(f"<{code}")
    if at + size > len(content):
        return content
    value: int = struct.unpack_from(f"<{code}", content, at)[0]
    value = chance.choice(
        (value + 1, value - 1, value ^ (1 << chance.randrange(16)), chance.choice(_EDGES), len(content))
    )
    return content[:at] + struct.pack(f"<{code}", value % (1 << 8 * size)) + content[at + size :]


def _edit_pickle(content: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    return _edit_record(
        content, lambda name: name.endswith("data.pkl"), lambda data: _edited_opcodes(data, chance), chance
    )


def _edit_pickle_bytes(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    damage = chance.choice((_flip_bits, _flip_bits, _splice, _truncate))
    return _edit_record(content, lambda name: name.endswith("data.pkl"), lambda data: damage(data, [], chance), chance)


def _edit_any_record(content: bytes, others: list[bytes], chance: random.Random) -> bytes:
    damage = chance.choice((_flip_bits, _flip_bits, _splice))
    return _edit_record(content, lambda name: True, lambda data: damage(data, [], chance), chance)


def _edit_record(
    content: bytes, wanted: Callable[[str], bool], edit: Callable[[bytes], bytes], chance: random.Random
) -> bytes:
    """One record edited, and all checksums right: what a careful attacker sends."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        records = [(info, archive.read(info)) for info in archive.infolist()]
    candidates = [index for index, (info, _) in enumerate(records) if wanted(info.filename)]
    if not candidates:
        return content
    chosen = chance.choice(candidates)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for index, (info, data) in enumerate(records):
            method = zipfile.ZIP_DEFLATED if info.compress_type else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(info.filename), edit(data) if index == chosen else data, method)
    return buffer.getvalue()


def _edited_opcodes(data: bytes, chance: random.Random) -> bytes:
    try:
        starts = [at for _, _, at in pickletools.genops(data) if at is not None]
    except (ValueError, IndexError, UnicodeDecodeError):
        return data
    pieces = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    at = chance.randrange(len(pieces))
    match chance.randrange(6):
        case 0:
            del pieces[at]
        case 1:
            pieces.insert(at, chance.choice(pieces))
        case 2:
            other = chance.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
        case 3:
            pieces.insert(at, chance.choice(_SNIPPETS))
        case 4:
            pieces[at] = chance.choice(_OPCODES) + pieces[at][1:]
        case _:
            body = bytearray(pieces[at])
            body[-1] = chance.randrange(256)
            pieces[at] = bytes(body)
    return b"".join(pieces)


_KINDS = (
    _flip_bits,
    _truncate,
    _splice,
    _edit_zip_field,
    _edit_zip_field,
    _edit_pickle,
    _edit_pickle,
    _edit_pickle,
    _edit_pickle_bytes,
    _edit_pickle_bytes,
    _edit_any_record,
)
