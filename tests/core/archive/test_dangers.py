"""Names through which loading a file can run anything, and names that look like them."""

import functools
import logging
import os
from collections.abc import Callable

import pytest
import torch
from torch import nn

from fl_server_core.archive import ArchiveError, dangerous_globals, open_archive
from tests.builders.files import saved, scripted
from tests.core.archive.files import packed, records_of, with_record
from tests.core.archive.layers import LAYERS, is_lazy, make

MODULE = saved(nn.Linear(2, 1))


def dangers(content: bytes) -> list[str]:
    with open_archive(content) as archive:
        return dangerous_globals(archive)


def holding(opcodes: bytes) -> bytes:
    """A module with one attribute more: what the opcodes make."""
    return with_record(MODULE, "data.pkl", lambda data: data.replace(b"ub.", b"X\x01\x00\x00\x00z" + opcodes + b"ub."))


def naming(module: str, name: str) -> bytes:
    return holding(f"c{module}\n{name}\n".encode())


class Hostile(nn.Linear):
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch /tmp/never",)


class Own(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("os.path", "os"),
        ("subprocess", "run"),
        ("sys", "modules"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "exec"),
        ("builtins", "__import__"),
        ("builtins", "open"),
        ("builtins", "str.format"),
        ("shutil", "rmtree"),
        ("socket", "create_connection"),
        ("importlib", "import_module"),
        ("importlib.util", "spec_from_file_location"),
        ("runpy", "run_path"),
        ("pty", "spawn"),
        ("code", "InteractiveInterpreter"),
        ("ctypes", "CDLL"),
        ("pickle", "loads"),
        ("_pickle", "loads"),
        ("webbrowser", "open"),
        ("operator", "attrgetter"),
        ("torch", "load"),
        ("torch.serialization", "load"),
        ("torch.jit", "load"),
        ("torch.hub", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.serialization", "os"),
        ("torch", "serialization.os"),
        ("torch", "sys.modules"),
        ("torch.fx.graph_module", "reduce_graph_module"),
        ("torch.utils.cpp_extension", "load_inline"),
        ("torch.nn.modules.linear", "Linear.__init__.__globals__"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("mylab.tools", "subprocess"),
        ("mylab.tools", "system"),
        ("fl_server.settings.base", "SECRET_KEY"),
    ],
)
def test_what_can_run_anything_is_named(module: str, name: str) -> None:
    assert dangers(naming(module, name)) == [f"{module}{':' if '.' in name else '.'}{name}"]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("mylab.models", "Net"),
        ("mylab.os.models", "Net"),
        ("code.models", "Net"),
        ("__main__", "Net"),
        ("mylab.models", "Outer.Inner"),
        ("torch.nn.modules.linear", "Linear"),
        ("builtins", "set"),
        ("builtins", "slice"),
        ("builtins", "object"),
        ("collections", "OrderedDict"),
        ("functools", "partial"),
        ("pathlib", "PosixPath"),
        ("_codecs", "encode"),
        ("copyreg", "_reconstructor"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("operator", "add"),
        ("logging", "getLogger"),
        ("io", "BytesIO"),
    ],
)
def test_classes_that_nobody_knows_and_honest_helpers_are_not(module: str, name: str) -> None:
    assert dangers(naming(module, name)) == []


def test_an_honest_module_with_functions_and_helpers_names_nothing_dangerous() -> None:
    module = Own(2, 1)
    module.extras = [torch.relu, torch.Tensor.abs, functools.partial(nn.LayerNorm, eps=1e-6), torch.float16]  # type: ignore[assignment]
    module.logger = logging.getLogger(__name__)  # type: ignore[assignment]
    module.bound = [module.float, module.eval]  # type: ignore[assignment]
    for protocol in (2, 4):
        assert dangers(saved(module, pickle_protocol=protocol)) == []


def test_no_layer_of_torch_names_anything_dangerous() -> None:
    assert len(LAYERS) > 100
    for name in LAYERS:
        layer = make(name)
        if not is_lazy(layer):
            assert dangers(saved(layer)) == [], name


def test_a_call_on_loading_is_found_whatever_the_protocol() -> None:
    module = nn.Sequential(nn.Linear(2, 1))
    module.add_module("hook", Hostile(1, 1))
    for protocol in (2, 4):
        with pytest.raises(ArchiveError, match=r"not a torch\.nn\.Module"):
            open_archive(saved(module, pickle_protocol=protocol))
    module = nn.Sequential(nn.Linear(2, 1))
    module.extra = Hostile(1, 1).__reduce__()[0]  # type: ignore[assignment]
    for protocol in (2, 4):
        assert dangers(saved(module, pickle_protocol=protocol)) == [f"{os.system.__module__}.system"]


class TestGetattr:
    @pytest.mark.parametrize(
        ("owner", "attribute"),
        [
            (b"ctorch\nTensor\n", b"__globals__"),
            (b"ctorch\nTensor\n", b"__subclasses__"),
            (b"ctorch.nn\nmodules\n", b"sys"),
            (b"ctorch\nTensor\n", b"system"),
            (b"ctorch\njit\n", b"__builtins__"),
            (b"c__builtin__\ngetattr\nctorch\nTensor\nX\x03\x00\x00\x00abs\x86R", b"__globals__"),
            (b"N", b"__class__"),
        ],
    )
    def test_of_what_leads_on_is_dangerous(self, owner: bytes, attribute: bytes) -> None:
        arguments = owner + b"X" + bytes([len(attribute), 0, 0, 0]) + attribute + b"\x86R"
        (found,) = dangers(holding(b"c__builtin__\ngetattr\n" + arguments))
        assert found.startswith("builtins.getattr(")
        assert found.endswith(f", {attribute.decode()})")

    def test_of_a_listed_function_is_dangerous(self) -> None:
        found = dangers(holding(b"c__builtin__\ngetattr\nc__main__\ntorch\nX\x05\x00\x00\x00relu_\x86R"))
        assert found == []
        found = dangers(holding(b"c__builtin__\ngetattr\nctorch\njit\nX\x04\x00\x00\x00load\x86R"))
        assert found == ["builtins.getattr(torch.jit, load)"]

    def test_that_somebody_else_would_call_is_dangerous(self) -> None:
        assert dangers(holding(b"](c__builtin__\ngetattr\ne")) == ["builtins.getattr(?, ?)"]


class TestTorchScript:
    """torch.jit.load imports no name of a file, whatever its pickles say; they are looked at all the same."""

    def test_an_honest_one_names_nothing(self) -> None:
        for module in (nn.LSTM(2, 3), nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))):
            assert dangers(scripted(module)) == []

    @pytest.mark.parametrize("record", ["constants.pkl", "attributes.pkl", "traced_inputs.pkl"])
    def test_its_other_pickles_are_read_too(self, record: str) -> None:
        records = records_of(scripted(nn.Linear(2, 1)))
        folder = next(iter(records)).partition("/")[0]
        pickle = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R."
        code = tuple(name for name in records if "/code/" in name)
        assert dangers(packed({**records, f"{folder}/{record}": pickle}, deflated=code)) == ["os.system"]

    def test_a_pickle_that_cannot_be_read_is_refused(self) -> None:
        records = records_of(scripted(nn.Linear(2, 1)))
        folder = next(iter(records)).partition("/")[0]
        code = tuple(name for name in records if "/code/" in name)
        with pytest.raises(ArchiveError):
            dangers(packed({**records, f"{folder}/constants.pkl": b"\x80\x02ios\nsystem\n."}, deflated=code))


def test_a_file_that_names_more_than_a_model_does_is_refused() -> None:
    many = b"".join(f"ca\nb{number}\n0".encode() for number in range(1001))
    with pytest.raises(ArchiveError, match="names too many classes and functions"):
        open_archive(holding(many + b"N"))
