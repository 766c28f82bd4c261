"""Reading a pickle without running it: every global is a name, every call a description.

Opcodes of other protocols than 2 to 5, and those that picklers of plain objects do not emit, are refused. Whatever the
pickle says, the work is linear in its size: each opcode makes one small object, and no list is ever copied.
"""

import struct

from fl_server_core.archive.errors import ArchiveError
from fl_server_core.archive.limits import Limits
from fl_server_core.archive.machine import MALFORMED, Machine
from fl_server_core.archive.opcodes import HANDLERS

_STOP = b"."[0]


def read_pickle(data: bytes, limits: Limits) -> tuple[object, Machine]:
    """The object that a pickle describes, and the machine, which knows the names and storages that it met.

    Raises ArchiveError for what is malformed, too large or too deep, or describes an impossible tensor.
    """
    machine = Machine(data, limits)
    try:
        for _ in range(limits.opcodes):
            code = machine.next_code()
            if code == _STOP:
                return machine.finish(), machine
            HANDLERS[code](machine)
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise ArchiveError(MALFORMED) from None
    raise ArchiveError("The file's data.pkl has too many instructions.")
