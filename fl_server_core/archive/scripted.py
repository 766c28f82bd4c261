"""What the code in a TorchScript archive says about its classes. Single lines are matched; nothing is compiled."""

import re
from dataclasses import dataclass

from fl_server_core.archive.errors import ArchiveError, quoted

_CLASS = re.compile(r"class ([A-Za-z_]\w*)(?:\((\w*)\))?:", re.ASCII)
_NAMES = re.compile(r"  __(parameters|buffers)__ = (.*)")
_LIST = re.compile(r'\[(?:"[^"\\]*", )*\]')
_NAME = re.compile(r'"([^"\\]*)"')


@dataclass(slots=True)
class ScriptClass:
    """`parameters` and `buffers` are names of attributes; only a module has any."""

    is_module: bool
    parameters: tuple[str, ...] = ()
    buffers: tuple[str, ...] = ()


def read_classes(code: str) -> dict[str, ScriptClass]:
    """The classes of one code file by name."""
    classes: dict[str, ScriptClass] = {}
    current: ScriptClass | None = None
    for line in code.split("\n"):
        if found := _CLASS.fullmatch(line):
            current = classes[found[1]] = ScriptClass(is_module=found[2] == "Module")
        elif current is not None and (found := _NAMES.fullmatch(line)):
            if not _LIST.fullmatch(found[2]):
                raise ArchiveError(f"The TorchScript code lists {found[1]} in an unknown way: {quoted(found[2])}.")
            setattr(current, found[1], tuple(_NAME.findall(found[2])))
    return classes
