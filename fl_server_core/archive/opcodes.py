"""What each opcode does: those of protocols 2 to 5 that picklers of plain objects emit."""

import struct
from collections.abc import Callable

from fl_server_core.archive.errors import ArchiveError
from fl_server_core.archive.machine import GETATTR, MALFORMED, Machine
from fl_server_core.archive.nodes import ATTRIBUTE, Global, Instance, List, Table, Tensor, Tuple
from fl_server_core.archive.rebuild import ORDERED_DICT, describe_storage, rebuild

_Handler = Callable[[Machine], None]
HANDLERS: dict[int, _Handler] = {}


def _on(code: bytes) -> Callable[[_Handler], _Handler]:
    def register(handler: _Handler) -> _Handler:
        HANDLERS[code[0]] = handler
        return handler

    return register


def _push(code: bytes, make: Callable[[Machine], object]) -> None:
    HANDLERS[code[0]] = lambda machine: machine.stack.append(make(machine))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")


_push(b"N", lambda _: None)
_push(b"\x88", lambda _: True)
_push(b"\x89", lambda _: False)
_push(b"K", lambda machine: machine.take(1)[0])
_push(b"M", lambda machine: int.from_bytes(machine.take(2), "little"))
_push(b"J", lambda machine: int.from_bytes(machine.take(4), "little", signed=True))
_push(b"\x8a", lambda machine: int.from_bytes(machine.take_counted(1), "little", signed=True))
_push(b"G", lambda machine: struct.unpack(">d", machine.take(8))[0])
_push(b"\x8c", lambda machine: _text(machine.take_counted(1)))
_push(b"X", lambda machine: _text(machine.take_counted(4)))
_push(b"\x8d", lambda machine: _text(machine.take_counted(8)))
_push(b"U", lambda machine: machine.take_counted(1))
_push(b"C", lambda machine: machine.take_counted(1))
_push(b"B", lambda machine: machine.take_counted(4))
_push(b"\x8e", lambda machine: machine.take_counted(8))
_push(b"\x96", lambda machine: machine.take_counted(8))
_push(b"}", lambda _: Table())
_push(b"]", lambda _: List([]))
_push(b"\x8f", lambda _: List([]))
_push(b")", lambda _: Tuple(()))
_push(b"2", lambda machine: machine.stack[-1])
_push(b"h", lambda machine: machine.memo[machine.take(1)[0]])
_push(b"j", lambda machine: machine.memo[int.from_bytes(machine.take(4), "little")])


@_on(b"\x80")
def _protocol(machine: Machine) -> None:
    if machine.take(1)[0] > 5:
        raise ArchiveError("The file's data.pkl uses an unknown pickle protocol.")


@_on(b"\x95")
def _frame(machine: Machine) -> None:
    machine.take(8)


@_on(b"q")
def _binput(machine: Machine) -> None:
    machine.memo[machine.take(1)[0]] = machine.stack[-1]


@_on(b"r")
def _long_binput(machine: Machine) -> None:
    machine.memo[int.from_bytes(machine.take(4), "little")] = machine.stack[-1]


@_on(b"\x94")
def _memoize(machine: Machine) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


@_on(b"(")
def _mark(machine: Machine) -> None:
    machine.marked.append(machine.stack)
    machine.stack = []


@_on(b"0")
def _pop(machine: Machine) -> None:
    machine.stack.pop()


@_on(b"1")
def _pop_mark(machine: Machine) -> None:
    machine.pop_marked()


@_on(b"t")
def _tuple(machine: Machine) -> None:
    machine.push_tuple(*machine.pop_marked())


@_on(b"\x85")
def _tuple1(machine: Machine) -> None:
    machine.push_tuple(machine.stack.pop())


@_on(b"\x86")
def _tuple2(machine: Machine) -> None:
    second, first = machine.stack.pop(), machine.stack.pop()
    machine.push_tuple(first, second)


@_on(b"\x87")
def _tuple3(machine: Machine) -> None:
    third, second, first = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.push_tuple(first, second, third)


@_on(b"\x91")
def _frozenset(machine: Machine) -> None:
    node = List([])
    machine.append(node, machine.pop_marked())
    machine.stack.append(node)


@_on(b"a")
def _append(machine: Machine) -> None:
    item = machine.stack.pop()
    machine.append(machine.stack[-1], [item])


@_on(b"e")
@_on(b"\x90")
def _extend(machine: Machine) -> None:
    items = machine.pop_marked()
    machine.append(machine.stack[-1], items)


@_on(b"s")
def _set_item(machine: Machine) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.put(machine.stack[-1], [key], [value])


@_on(b"u")
def _set_items(machine: Machine) -> None:
    items = machine.pop_marked()
    machine.put(machine.stack[-1], items[0::2], items[1::2])


@_on(b"c")
def _global(machine: Machine) -> None:
    module = machine.take_line()
    machine.push_global(module, machine.take_line())


@_on(b"\x93")
def _stack_global(machine: Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.push_global(module, name)


@_on(b"Q")
def _persistent_id(machine: Machine) -> None:
    machine.stack.append(describe_storage(machine.pop_tuple(), machine.storages))


@_on(b"R")
def _reduce(machine: Machine) -> None:
    arguments, maker = machine.pop_tuple(), machine.stack.pop()
    if maker in GETATTR:
        machine.attribute_calls.append(arguments)
        attribute = Instance(ATTRIBUTE, arguments)
        attribute.takes_state = False
        machine.nest(attribute, (arguments,))
        machine.stack.append(attribute)
        return
    made = rebuild(maker, arguments, machine.limits) if isinstance(maker, Global) else None
    if made is None:
        machine.push_instance(maker, arguments)
    else:
        machine.stack.append(made)


@_on(b"\x81")
def _new_object(machine: Machine) -> None:
    arguments, maker = machine.pop_tuple(), machine.stack.pop()
    if maker == ORDERED_DICT:
        machine.stack.append(Table())
    else:
        machine.push_instance(maker, arguments)


@_on(b"\x92")
def _new_object_with_keywords(machine: Machine) -> None:
    keywords, arguments, maker = machine.stack.pop(), machine.pop_tuple(), machine.stack.pop()
    both = Tuple((arguments, keywords))
    machine.nest(both, both.items)
    machine.push_instance(maker, both)


@_on(b"b")
def _build(machine: Machine) -> None:
    """Give an object its state. A function or class as the object is refused: it would be changed for everyone."""
    state, target = machine.stack.pop(), machine.stack[-1]
    if not isinstance(target, Instance | Table | Tensor) or (isinstance(target, Instance) and not target.takes_state):
        raise ArchiveError(MALFORMED)
    machine.nest(target, (state,))
    if isinstance(target, Instance):
        target.state = state
        target.takes_state = False
