"""Names of tensors as state_dict() gives them, read off the description of a model."""

from collections.abc import Callable, Iterable

from fl_server_core.archive.errors import ArchiveError, quoted
from fl_server_core.archive.limits import Limits
from fl_server_core.archive.nodes import Global, Instance, List, Table, Tensor, Tuple
from fl_server_core.archive.scripted import ScriptClass

_GROUPS = ("_parameters", "_buffers", "_modules")
_GRAPH_MODULE = Global("torch.fx.graph_module", "reduce_graph_module")
_COMPILED = Global("torch._dynamo.eval_frame", "OptimizedModule")


class NamedTensors:
    """Tensors by name, in the order in which they are added."""

    def __init__(self, limits: Limits) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.parameters: list[str] = []
        """In the order of named_parameters(): a parameter that has several names counts by its first."""
        self._seen_parameters: set[int] = set()
        self._visits = 0
        self._limits = limits

    def visit(self, prefix: str, depth: int) -> None:
        self._visits += 1
        if len(prefix) > self._limits.tensor_name:
            raise ArchiveError(f"The module name {quoted(prefix)} is too long.")
        if depth > self._limits.module_depth or self._visits > self._limits.modules:
            raise ArchiveError("The model has too many modules, or nests them too deeply.")

    def add(self, name: str, value: object, *, is_parameter: bool = False) -> None:
        if not isinstance(value, Tensor):
            raise ArchiveError(
                f"{quoted(name)} is not a plain tensor with values. Lazy, quantised and sparse ones are not supported."
            )
        if len(name) > self._limits.tensor_name or not name.isprintable():
            raise ArchiveError(f"The tensor name {quoted(name)} is too long or not printable.")
        if name in self.tensors:
            raise ArchiveError(f"The file holds two tensors named {quoted(name)}.")
        if len(self.tensors) >= self._limits.tensors:
            raise ArchiveError("The file holds too many tensors.")
        self.tensors[name] = value
        if is_parameter and id(value) not in self._seen_parameters:
            self._seen_parameters.add(id(value))
            self.parameters.append(name)


def name_mapping(entries: Table, named: NamedTensors) -> None:
    """A state_dict: tensors by name, and nothing else."""
    for name, value in _texts(entries, "state_dict"):
        if not isinstance(value, Tensor):
            raise ArchiveError(f"The entry {quoted(name)} is not a tensor. A state_dict may contain only tensors.")
        named.add(name, value)


def name_sequence(items: Iterable[object], named: NamedTensors) -> None:
    """A list of tensors, named by their positions."""
    for position, value in enumerate(items):
        named.add(str(position), value)


def name_module(module: object, named: NamedTensors, prefix: str = "", depth: int = 0) -> None:
    """An nn.Module: its parameters, its persistent buffers, then its children, each with its own."""
    named.visit(prefix, depth)
    if isinstance(module, Instance) and module.maker == _COMPILED:
        wrapped = module.arguments.items[0] if isinstance(module.arguments, Tuple) and module.arguments.items else None
        return name_module(wrapped, named, f"{prefix}_orig_mod.", depth + 1)
    parameters, buffers, children, transient = _module_state(module, prefix)
    for name, value in _attributes(parameters, prefix):
        named.add(prefix + name, value, is_parameter=True)
    for name, value in _attributes(buffers, prefix):
        if name not in transient:
            named.add(prefix + name, value)
    for name, child in _attributes(children, prefix):
        name_module(child, named, f"{prefix}{name}.", depth + 1)
    return None


def name_script(
    module: object, named: NamedTensors, class_of: Callable[[Global], ScriptClass], prefix: str = "", depth: int = 0
) -> None:
    """A TorchScript module. The code of its class says which attributes are parameters or buffers."""
    named.visit(prefix, depth)
    if not isinstance(module, Instance) or not isinstance(module.maker, Global):
        raise ArchiveError("The file does not contain a TorchScript module.")
    if not isinstance(module.state, Table):
        raise ArchiveError(
            f"The TorchScript module {quoted(prefix.rstrip('.'))} packs its own state (quantised, for instance), "
            "so its tensors have no names."
        )
    script_class = class_of(module.maker)
    attributes = module.state.entries
    for names, is_parameter in ((script_class.parameters, True), (script_class.buffers, False)):
        for name in names:
            if name not in attributes:
                raise ArchiveError(f"The tensor {quoted(prefix + name)} of the TorchScript code is missing.")
            if attributes[name] is not None:
                named.add(prefix + name, attributes[name], is_parameter=is_parameter)
    for name, child in attributes.items():
        if not isinstance(child, Instance) or not isinstance(child.maker, Global):
            continue
        if child.maker.module.startswith("__torch__") and class_of(child.maker).is_module:
            name_script(child, named, class_of, f"{prefix}{name}.", depth + 1)


def is_module(value: object) -> bool:
    """Whether a description looks like an nn.Module's."""
    if not isinstance(value, Instance):
        return False
    return value.maker == _COMPILED or all(isinstance(_state(value).get(group), Table) for group in _GROUPS)


def _state(module: Instance) -> dict[str, object]:
    state: object = module.state
    if module.maker == _GRAPH_MODULE and isinstance(module.arguments, Tuple) and module.arguments.items:
        state = module.arguments.items[0]
    if isinstance(state, Tuple) and len(state.items) == 2:
        # A class with __slots__ has two states, the first of which is its __dict__.
        state = state.items[0]
    return state.entries if isinstance(state, Table) else {}


def _module_state(module: object, prefix: str) -> tuple[Table, Table, Table, set[str]]:
    state = _state(module) if isinstance(module, Instance) else {}
    parameters, buffers, children = (state.get(group) for group in _GROUPS)
    if not isinstance(parameters, Table) or not isinstance(buffers, Table) or not isinstance(children, Table):
        what = f"Its part {quoted(prefix.rstrip('.'))}" if prefix else "The file"
        raise ArchiveError(f"{what} is not a torch.nn.Module.")
    transient = state.get("_non_persistent_buffers_set")
    names = transient.items if isinstance(transient, List) else []
    return parameters, buffers, children, {name for name in names if type(name) is str}


def _attributes(table: Table, prefix: str) -> Iterable[tuple[str, object]]:
    for name, value in _texts(table, prefix.rstrip(".") or "model"):
        if "." in name or not name:
            raise ArchiveError(f"The model has an attribute with the invalid name {quoted(prefix + name)}.")
        if value is not None:
            yield name, value


def _texts(table: Table, what: str) -> Iterable[tuple[str, object]]:
    if table.others:
        raise ArchiveError(f"Every name in {quoted(what)} must be text.")
    return table.entries.items()
