"""What the pickle machine makes of a pickle: inert descriptions, never the objects themselves.

Nothing of these is ever hashed, compared or called, since a hostile file decides what is in them. `depth` counts
containers within containers.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function that a loader would import. Here it is a name.

    As a text it is "module.name", or "module:Outer.Inner" where a loader would follow attributes: through those it
    may reach whatever the module has imported.
    """

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}{':' if '.' in self.name else '.'}{self.name}"


ATTRIBUTE: Final = object()
"""The maker of what getattr would have given."""


class Node:
    __slots__ = ("depth",)

    def __init__(self) -> None:
        self.depth = 0


class Tuple(Node):
    __slots__ = ("items",)

    def __init__(self, items: tuple[object, ...]) -> None:
        super().__init__()
        self.items = items


class List(Node):
    """A list, and also a set: the elements of a set are kept without hashing them."""

    __slots__ = ("items",)

    def __init__(self, items: list[object]) -> None:
        super().__init__()
        self.items = items


class Table(Node):
    """A dict or OrderedDict. Only entries with a text for a key are kept; `others` tells whether there were more."""

    __slots__ = ("entries", "others")

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, object] = {}
        self.others = False


class Instance(Node):
    """What calling `maker` with `arguments` would have given, and the state that it would have been given then."""

    __slots__ = ("arguments", "maker", "state", "takes_state")

    def __init__(self, maker: object, arguments: object) -> None:
        super().__init__()
        self.maker = maker
        self.arguments = arguments
        self.state: object = None
        self.takes_state = True


class Storage(Node):
    """The record data/<key> holds `length` elements of the type `dtype`."""

    __slots__ = ("dtype", "key", "length")

    def __init__(self, dtype: str, key: str, length: int) -> None:
        super().__init__()
        self.dtype = dtype
        self.key = key
        self.length = length


class Tensor(Node):
    """A view on a storage; offset and strides count elements of `dtype`."""

    __slots__ = ("dtype", "offset", "shape", "storage", "strides")

    def __init__(
        self, storage: Storage, dtype: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.storage = storage
        self.dtype = dtype
        self.offset = offset
        self.shape = shape
        self.strides = strides
