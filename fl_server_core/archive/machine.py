"""The state of a pickle that is being read, and what its opcodes may do to it."""

from collections.abc import Iterable

from fl_server_core.archive.errors import ArchiveError
from fl_server_core.archive.limits import Limits
from fl_server_core.archive.nodes import Global, Instance, List, Node, Storage, Table, Tuple

MALFORMED = "The file's data.pkl is not a well-formed pickle of plain objects."
_NAME_LENGTH = 512
GETATTR = (Global("builtins", "getattr"), Global("__builtin__", "getattr"))


class Machine:
    """A stack, a memo, and the bytes that are still to come.

    `globals` are all names that a loader would import; `attribute_calls` are the arguments of all calls of getattr, and
    None where getattr is used in any other way (given to someone who would call it).
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.globals: set[Global] = set()
        self.attribute_calls: list[Tuple | None] = []
        self.storages: dict[str, Storage] = {}
        self.limits = limits
        self.stack: list[object] = []
        self.marked: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self._data = data
        self._at = 0

    def finish(self) -> object:
        """What is left when the pickle is over: its object, and nothing else."""
        result = self.stack.pop()
        if self.stack or self.marked or self._at != len(self._data):
            raise ArchiveError(MALFORMED)
        return result

    def next_code(self) -> int:
        code = self._data[self._at]
        self._at += 1
        return code

    def take(self, length: int) -> bytes:
        taken = self._data[self._at : self._at + length]
        if len(taken) != length:
            raise ArchiveError("The file's data.pkl ends too early.")
        self._at += length
        return taken

    def take_counted(self, size: int) -> bytes:
        """Bytes that follow their own number, which takes `size` bytes."""
        return self.take(int.from_bytes(self.take(size), "little"))

    def take_line(self) -> str:
        end = self._data.find(b"\n", self._at, self._at + _NAME_LENGTH + 1)
        if end < 0:
            raise ArchiveError(MALFORMED)
        return self.take(end + 1 - self._at)[:-1].decode()

    def pop_marked(self) -> list[object]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def pop_tuple(self) -> Tuple:
        arguments = self.stack.pop()
        if not isinstance(arguments, Tuple):
            raise ArchiveError(MALFORMED)
        return arguments

    def nest(self, parent: Node, children: Iterable[object]) -> None:
        """Note that `parent` contains `children`, within bounds."""
        for child in children:
            if isinstance(child, Node):
                parent.depth = max(parent.depth, child.depth + 1)
            elif child in GETATTR:
                self.attribute_calls.append(None)
        if parent.depth > self.limits.nesting:
            raise ArchiveError("The file's data.pkl is nested too deeply.")

    def push_global(self, module: object, name: object) -> None:
        if type(module) is not str or type(name) is not str or max(len(module), len(name)) > _NAME_LENGTH:
            raise ArchiveError(MALFORMED)
        if not module.isprintable() or not name.isprintable():
            raise ArchiveError(MALFORMED)
        node = Global(module, name)
        self.globals.add(node)
        self.stack.append(node)

    def push_tuple(self, *items: object) -> None:
        node = Tuple(items)
        self.nest(node, items)
        self.stack.append(node)

    def push_instance(self, maker: object, arguments: object) -> None:
        node = Instance(maker, arguments)
        self.nest(node, (maker, arguments))
        self.stack.append(node)

    def put(self, container: object, keys: list[object], values: list[object]) -> None:
        """Set items. Of an instance they are of no interest: no tensor of a module is named by them."""
        if not isinstance(container, Table | Instance) or len(keys) != len(values):
            raise ArchiveError(MALFORMED)
        self.nest(container, keys)
        self.nest(container, values)
        if isinstance(container, Instance):
            return
        for key, value in zip(keys, values, strict=True):
            if type(key) is str:
                container.entries[key] = value
            else:
                container.others = True

    def append(self, container: object, items: list[object]) -> None:
        if not isinstance(container, List | Instance):
            raise ArchiveError(MALFORMED)
        self.nest(container, items)
        if isinstance(container, List):
            container.items.extend(items)
