"""Which names in a pickle count as torch's own. It is the gate before a model is loaded with everything allowed."""

import inspect
import os
import pkgutil
from importlib import import_module

import pytest
import torch
from torch import nn

from fl_server_core.archive import foreign_globals, open_archive
from fl_server_core.archive.policy import _TORCH
from tests.builders.files import saved, scripted
from tests.core.archive.files import with_pickle, with_record
from tests.core.archive.layers import LAYERS, make

MODULE = saved(nn.Linear(2, 3))


class Own(nn.Linear):
    class Inner:
        pass

    def run(self) -> None: ...


def named(module: str, name: str) -> bytes:
    """A module of torch's own, with a class or function by this name among its attributes."""
    opcode = f"c{module}\n{name}\n".encode()
    return with_record(
        MODULE, "data.pkl", lambda pickle: pickle.replace(b"u" + b"b.", b"X\x01\x00\x00\x00z" + opcode + b"ub.")
    )


def called(function: bytes, arguments: bytes) -> bytes:
    opcode = b"c" + function + b"\n" + arguments + b"R"
    return with_record(
        MODULE, "data.pkl", lambda pickle: pickle.replace(b"u" + b"b.", b"X\x01\x00\x00\x00z" + opcode + b"ub.")
    )


def foreign(content: bytes, *trusted: str, torchvision: bool = False) -> list[str]:
    return foreign_globals(open_archive(content), trusted, torchvision=torchvision)


def test_the_layers_of_torch_are_its_own() -> None:
    names = [name for name in LAYERS if not name.startswith("Lazy")]
    assert {name: found for name in names if (found := foreign(saved(make(name))))} == {}


def test_every_public_layer_of_torch_is_listed_and_every_listed_layer_is_one() -> None:
    found = set()
    for module in pkgutil.iter_modules(nn.modules.__path__):
        module_name = f"torch.nn.modules.{module.name}"
        for name, value in vars(import_module(module_name)).items():
            is_layer = inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == module_name
            if is_layer and not name.startswith("_"):
                found.add(f"{module_name}.{name}")
    listed = {name for name in _TORCH if name.startswith("torch.nn.modules.")}
    assert listed == found


def test_activations_and_types_as_attributes_are_torchs_own() -> None:
    module = nn.Linear(2, 3)
    functions = [
        torch.relu,
        torch.tanh,
        nn.functional.relu,
        nn.functional.gelu,
        nn.functional.softplus,
        torch.Tensor.abs,
    ]
    module.extras = [*functions, torch.float16, torch.Size([1]), torch.device("cpu"), nn.ReLU]  # type: ignore[assignment]
    for protocol in (2, 4):
        assert foreign(saved(module, pickle_protocol=4 if protocol == 4 else 2)) == []


def test_ones_own_classes_are_foreign_unless_trusted() -> None:
    content = saved(nn.Sequential(Own(1, 1)))
    name = f"{__name__}.Own"
    assert foreign(content) == [name]
    assert foreign(content, name) == []
    assert foreign(content, f"{__name__}.*") == []
    assert foreign(content, "tests.*") == []
    for entry in ("tests", "*", "test.*", "tests.core.archive.test_policy", f"{name}.*", "Own", ".*"):
        assert foreign(content, entry) == [name]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("__builtin__", "getattr"),
        ("__builtin__", "apply"),
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("subprocess", "Popen"),
        ("runpy", "run_path"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("importlib", "import_module"),
        ("pickle", "loads"),
        ("_codecs", "encode"),
        ("collections", "namedtuple"),
        ("torch", "load"),
        ("torch", "save"),
        ("torch", "from_file"),
        ("torch", "compile"),
        ("torch", "hub"),
        ("torch.hub", "load"),
        ("torch.hub", "_load_local"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.serialization", "load"),
        ("torch.jit", "load"),
        ("torch.jit._serialization", "load"),
        ("torch._utils", "_rebuild_from_type_v2"),
        ("torch._tensor", "_rebuild_from_type_v2"),
        ("torch._utils", "_rebuild_wrapper_subclass"),
        ("torch.utils.data", "DataLoader"),
        ("torch.utils.cpp_extension", "load"),
        ("torch.utils.model_zoo", "load_url"),
        ("torch.multiprocessing", "Process"),
        ("torch.distributed.rpc", "rpc_sync"),
        ("torch._dynamo.eval_frame", "OptimizedModule"),
        ("torch.fx.graph_module", "reduce_graph_module"),
        ("torch.package", "PackageImporter"),
        ("torch.nn.modules.module", "torch"),
        ("torch.nn.modules.module", "functools"),
        ("torch.nn.modules.module", "warnings"),
        ("torch.nn.modules.container", "operator"),
        ("torch.nn.modules.linear", "Linear.__init__"),
        ("torch.nn.modules.linear", "torch.load"),
        ("torch.nn.functional", "importlib"),
        ("torch.nn.functional", "handle_torch_function"),
        ("torch.nn.functional", "boolean_dispatch"),
        ("torch", "nn.modules.linear.Linear"),
        ("torch.nn", "Linear"),
        ("torch.ao.nn.quantized", "Linear"),
        ("torchvision.models.resnet", "ResNet"),
        ("fl_server.settings.base", "SECRET_KEY"),
        ("__main__", "Net"),
    ],
)
def test_whatever_can_do_more_than_compute_is_foreign(module: str, name: str) -> None:
    assert len(foreign(named(module, name))) == 1


@pytest.mark.parametrize("name", ["eval", "exec", "getattr", "__import__", "open", "compile"])
def test_builtins_are_never_implied(name: str) -> None:
    content = named("builtins", name)
    for entry in ("builtins.*", "*", "b*", ".*", "builtins"):
        assert len(foreign(content, entry)) == 1
    if name != "getattr":
        assert foreign(content, f"builtins.{name}") == []


def test_a_trusted_package_does_not_lend_what_its_modules_have_imported_by_a_dotted_name() -> None:
    content = named("package.module", "os.system")
    assert foreign(content, "package.*") == ["package.module:os.system"]
    assert foreign(content, "package.module:os.system") == []


class TestGetattr:
    def test_of_anything_but_a_torch_function_is_foreign(self) -> None:
        for owner, attribute in (
            ("torch", "load"),
            ("torch._C._VariableFunctionsClass", "from_file"),
            ("os", "system"),
        ):
            module, _, last = owner.rpartition(".")
            owner_opcode = f"c{module or owner}\n{last}\n".encode()
            arguments = owner_opcode + b"X" + bytes([len(attribute), 0, 0, 0]) + attribute.encode() + b"\x86"
            content = called(b"__builtin__\ngetattr", arguments)
            call = f"builtins.getattr({(module or owner)}.{last}, {attribute})"
            assert call in foreign(content)

    def test_a_call_may_be_trusted_word_by_word(self) -> None:
        content = called(b"__builtin__\ngetattr", b"ctorch._C\n_VariableFunctionsClass\nX\x04\x00\x00\x00sinh\x86")
        call = "builtins.getattr(torch._C._VariableFunctionsClass, sinh)"
        assert foreign(content) == [call]
        assert foreign(content, call) == []
        assert foreign(content, "builtins.*", "torch.*", "builtins.getattr") == [call]

    @pytest.mark.parametrize(
        ("arguments", "attribute"),
        [
            (b")", "?"),
            (b"N\x85", "?"),
            (b"NN\x86", "?"),
            (b"ctorch._C\n_VariableFunctionsClass\nN\x86", "?"),
            (b"NX\x04\x00\x00\x00relu\x86", "relu"),
        ],
    )
    def test_with_unusual_arguments_is_foreign_and_cannot_be_trusted(self, arguments: bytes, attribute: str) -> None:
        content = called(b"__builtin__\ngetattr", arguments)
        call = f"builtins.getattr(?, {attribute})"
        assert foreign(content, call, "builtins.getattr", "?", "*") == [call]

    @pytest.mark.parametrize(
        "opcodes",
        [
            b"c__builtin__\ngetattr\n",
            b"c__builtin__\ngetattr\n\x85",
            b"](c__builtin__\ngetattr\ne",
            b"ctorch.nn.modules.activation\nReLU\nc__builtin__\ngetattr\n\x85R",
            b"c__builtin__\ngetattr\n)\x81",
            b"ctorch.nn.modules.activation\nReLU\n)\x81c__builtin__\ngetattr\nb",
            b"}X\x01\x00\x00\x00fc__builtin__\ngetattr\ns",
            b"}c__builtin__\ngetattr\nNs",
            b"ccollections\nOrderedDict\n)Rc__builtin__\ngetattr\nb",
        ],
        ids=["value", "tuple", "list", "argument", "new", "state", "dict value", "dict key", "dict state"],
    )
    def test_that_is_handed_to_someone_else_is_foreign(self, opcodes: bytes) -> None:
        content = with_record(
            MODULE, "data.pkl", lambda pickle: pickle.replace(b"ub.", b"X\x01\x00\x00\x00z" + opcodes + b"ub.")
        )
        assert "builtins.getattr(?, ?)" in foreign(content)


class TestTorchvision:
    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("torchvision.models.resnet", "ResNet"),
            ("torchvision.models.densenet", "_DenseLayer"),
            ("torchvision.ops.misc", "Conv2dNormActivation"),
            ("torchvision.transforms.transforms", "Normalize"),
            ("torchvision.transforms.v2._geometry", "Resize"),
            ("torchvision.transforms.functional", "InterpolationMode"),
        ],
    )
    def test_its_models_and_transforms_are_own_when_asked_for(self, module: str, name: str) -> None:
        assert foreign(named(module, name)) == [f"{module}.{name}"]
        assert foreign(named(module, name), torchvision=True) == []

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("torchvision.datasets.utils", "download_url"),
            ("torchvision.datasets", "ImageFolder"),
            ("torchvision.io", "read_file"),
            ("torchvision.models._api", "get_model"),
            ("torchvision.models.feature_extraction", "DualGraphModule"),
            ("torchvision.models.resnet", "load_state_dict_from_url"),
            ("torchvision.models.resnet", "partial"),
            ("torchvision.models.resnet", "ResNet.forward"),
            ("torchvision.transforms.transforms", "Lambda"),
            ("torchvision.transforms.v2._misc", "Lambda"),
            ("torchvision.transforms.functional", "os"),
            ("torchvision.models.resnet.evil", "Net"),
            ("torchvision_evil.models.resnet", "ResNet"),
        ],
    )
    def test_the_rest_of_it_is_not(self, module: str, name: str) -> None:
        assert len(foreign(named(module, name), torchvision=True)) == 1


def test_a_script_imports_nothing() -> None:
    archive = open_archive(scripted(nn.Linear(2, 3)))
    assert foreign_globals(archive) == []
    assert not [name for name in archive.globals if name.startswith("__torch__")]


def test_the_name_of_a_bomb_is_seen_wherever_it_stands() -> None:
    bomb = b"cos\nsystem\nX\x04\x00\x00\x00true\x85R"
    for content in (
        with_record(MODULE, "data.pkl", lambda pickle: pickle[:2] + bomb + b"0" + pickle[2:]),
        with_record(MODULE, "data.pkl", lambda pickle: pickle[:2] + b"cos\nsystem\n0" + pickle[2:]),
        with_pickle(b"\x80\x02}X\x01\x00\x00\x00a" + bomb + b"0N0."),
    ):
        try:
            names = foreign(content)
        except ValueError:
            continue
        assert names == ["os.system"]
    assert not os.path.exists("true")
