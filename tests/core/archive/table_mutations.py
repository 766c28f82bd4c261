"""Ways to damage a safetensors file."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

_NUMBERS: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 3, 8, 2**31, 2**32 - 1, 2**40, 2**63, 2**64),
    *(0.5, True, None, "1", [], [1], {}),
)
_CODES = (
    "F64",
    "F32",
    "F16",
    "BF16",
    "C64",
    "I64",
    "I8",
    "U64",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "F4",
    "",
    "f32",
    1,
)
_SNIPPETS = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"\0", b"\xff", b"\\u0000", b"\\ud800", b"null"),
    *(b"[" * 2000, b"9" * 5000, b'{"a":{}}', b'"__metadata__":{"a":"}"},', b'"shape":[', b"1e999", b"NaN", b"-0"),
)


def damaged_table(content: bytes, chance: random.Random) -> bytes:
    """The content after one to three mutations."""
    mutate = chance.choice(_KINDS)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = mutate(content, chance)
    return content


def _flip_bits(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content or b"\0")
    for _ in range(chance.choice((1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _truncate(content: bytes, chance: random.Random) -> bytes:
    cut = chance.randrange(len(content) + 1)
    return content[:cut] if chance.random() < 0.7 else content[cut:]


def _edit_length(content: bytes, chance: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    other = chance.choice((length + 1, length - 1, 0, 1, 2, 8, len(content), len(content) - 8, 2**31, 2**63, 2**64 - 1))
    return struct.pack("<Q", other % 2**64) + content[8:]


def _edit_text(content: bytes, chance: random.Random) -> bytes:
    """The table's text with something cut out or put in, and its length made to fit."""
    table, data = _split(content)
    at = chance.randrange(len(table) + 1)
    cut = chance.choice((0, 0, 1, 4, 40))
    return _joined(table[:at] + chance.choice((*_SNIPPETS, table[at : at + 60])) + table[at + cut :], data)


def _edit_fields(content: bytes, chance: random.Random) -> bytes:
    """A well-formed table that says something else: what a careful attacker sends."""
    text, data = _split(content)
    try:
        table: Any = json.loads(text)
        name = chance.choice(list(table))
        entry = table[name]
        match chance.randrange(7):
            case 0:
                entry["dtype"] = chance.choice(_CODES)
            case 1:
                entry["shape"][chance.randrange(len(entry["shape"]))] = chance.choice(_NUMBERS)
            case 2:
                entry["data_offsets"][chance.randrange(2)] = chance.choice((*_NUMBERS, len(data)))
            case 3:
                entry["shape"] = chance.choice(([], [1] * 40, [2**20] * 4, [0, 2**62], *_NUMBERS))
            case 4:
                table[chance.choice(("a", "", "__metadata__", name + "x", "\n", "n" * 2000))] = table.pop(name)
            case 5:
                one, other = chance.choice(list(table)), chance.choice(list(table))
                table[one], table[other] = table[other], table[one]
            case _:
                table = dict(chance.sample(list(table.items()), len(table)))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return content
    return _joined(json.dumps(table).encode(), data)


def _edit_data(content: bytes, chance: random.Random) -> bytes:
    table, data = _split(content)
    return _joined(table, _flip_bits(data, chance) if chance.random() < 0.6 else data + bytes(chance.randrange(9)))


def _split(content: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(content[:8], "little")
    return content[8 : 8 + length], content[8 + length :]


def _joined(table: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(table)) + table + data


_KINDS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip_bits,
    _truncate,
    _edit_length,
    _edit_text,
    _edit_text,
    _edit_fields,
    _edit_fields,
    _edit_fields,
    _edit_data,
)
