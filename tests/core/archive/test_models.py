"""Models that are more than a stack of layers."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fl_server_core.archive import (
    ArchiveError,
    ArchiveWriter,
    copy_tensors,
    open_archive,
)
from tests.builders.files import saved, scripted
from tests.core.archive.files import load_module, load_script
from tests.core.archive.test_layers import compare


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.head(self.embedding(x))
        return result


class Buffers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.arange(3))
        self.register_buffer("forgotten", torch.arange(4), persistent=False)
        self.register_buffer("absent", None)
        self.register_parameter("nothing", None)
        self.inner = nn.Linear(2, 2)
        self.plain = torch.ones(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.inner(x)
        return result


def test_a_model_of_an_unknown_class_reads_as_its_state_dict() -> None:
    package = types.ModuleType("vanished_package")
    source = "class Net(Base):\n    def __init__(self):\n        super().__init__()\n        self.a = Linear(3, 4)\n"
    exec(source, vars(package) | {"Base": nn.Module, "Linear": nn.Linear}, namespace := {})  # type: ignore[var-annotated]
    namespace["Net"].__module__ = "vanished_package"
    package.Net = namespace["Net"]  # type: ignore[attr-defined]
    sys.modules["vanished_package"] = package
    try:
        module = package.Net()
        content = saved(module)
    finally:
        del sys.modules["vanished_package"]
    with pytest.raises(ModuleNotFoundError):
        load_module(content)
    archive = open_archive(content)
    compare(archive, module)
    assert "vanished_package.Net" in archive.globals


def test_a_tied_weight_has_two_names_but_counts_once() -> None:
    module = Tied()
    for content in (saved(module), scripted(module)):
        archive = open_archive(content)
        assert list(archive.tensors) == ["embedding.weight", "head.weight"]
        assert archive.parameter_names == ("embedding.weight",)
        assert archive.parameter_count == 15
        assert archive.tensors["embedding.weight"].view == archive.tensors["head.weight"].view
        compare(archive, load_script(content) if archive.kind == "script" else load_module(content))


def test_a_tied_weight_that_is_written_under_one_name_is_read_under_the_other(tmp_path: Path) -> None:
    module = Tied()
    with open_archive(saved(module)) as template, ArchiveWriter(template, tmp_path / "new.pt") as writer:
        writer.array("head.weight")[...] = 7
        assert (writer.array("embedding.weight") == 7).all()
    nn.init.constant_(module.embedding.weight, 7)
    assert (tmp_path / "new.pt").read_bytes() == saved(module)


def test_two_parameters_that_share_memory_without_being_one_count_twice() -> None:
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    module[1].weight.data = module[0].weight.data
    compare(open_archive(saved(module)), module)
    assert open_archive(saved(module)).parameter_count == 8


def test_buffers_that_are_not_persistent_have_no_names() -> None:
    module = Buffers()
    archive = open_archive(saved(module))
    assert list(archive.tensors) == ["kept", "inner.weight", "inner.bias"]
    compare(archive, module)


def test_a_module_used_many_times_has_a_name_for_every_place() -> None:
    block = nn.Linear(2, 2)
    module = nn.Sequential(*[nn.Sequential(block, block) for _ in range(20)])
    archive = open_archive(saved(module))
    assert len(archive.tensors) == 80
    assert archive.parameter_count == 6
    compare(archive, module)


def test_paths_that_explode_are_refused() -> None:
    module = nn.Sequential(nn.Linear(1, 1))
    for _ in range(40):
        module = nn.Sequential(module, module)
    with pytest.raises(ArchiveError, match="has too many modules, or nests them too deeply"):
        open_archive(saved(module))


def test_a_conv_in_channels_last_order_is_read_and_written(tmp_path: Path) -> None:
    module = nn.Conv2d(3, 4, 2)
    module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    template = open_archive(saved(module))
    compare(template, module)
    with torch.no_grad():
        module.weight.mul_(3)
    copy_tensors(template, open_archive(saved(module.state_dict())), tmp_path / "new.pt")
    assert (tmp_path / "new.pt").read_bytes() == saved(module)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_that_torch_can_use_is_read(protocol: int) -> None:
    module = nn.TransformerEncoderLayer(4, 2, 8)
    compare(open_archive(saved(module, pickle_protocol=protocol)), module)


def test_a_file_saved_without_checksums_is_read_and_rewritten_without(tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        first, second = nn.Linear(2, 3), nn.Linear(2, 3)
        with open_archive(saved(first)) as template:
            template.verify_checksums()
            copy_tensors(template, open_archive(saved(second)), tmp_path / "new.pt")
        assert (tmp_path / "new.pt").read_bytes() == saved(second)
    finally:
        torch.serialization.set_crc32_options(True)


def test_attributes_of_any_kind_do_not_hide_the_tensors() -> None:
    from collections import Counter, defaultdict, deque
    from functools import partial

    module = nn.Linear(2, 3)
    module.extras = [  # type: ignore[assignment]
        {(1, 2): {3, 4}, None: frozenset({5}), 1.5: b"x"},
        defaultdict(list, a=[1]),
        Counter("abca"),
        deque([1, 2]),
        partial(torch.relu),
        np.arange(3),
        torch.float16,
        torch.Size([1, 2]),
        torch.device("cpu"),
        torch.relu,
        10**30,
        -(2**40),
        Path("x"),
        slice(1, 2),
        1 + 2j,
    ]
    module.myself = [module]  # type: ignore[assignment]
    for protocol in (2, 4):
        compare(open_archive(saved(module, pickle_protocol=protocol)), module)


def test_a_module_whose_class_has_slots_is_read() -> None:
    module = Slotted()
    compare(open_archive(saved(module)), module)


class Slotted(nn.Linear):
    __slots__ = ("note",)

    def __init__(self) -> None:
        super().__init__(2, 3)
        self.note = "in a slot"


def test_tensors_with_attributes_and_tensor_subclasses_are_read() -> None:
    module = nn.Linear(2, 3)
    mark = torch.ones(2)
    module.register_buffer("mark", mark)
    vars(module.weight)["note"] = vars(mark)["note"] = "kept"
    archive = open_archive(saved(module))
    assert "torch._tensor._rebuild_from_type_v2" in archive.globals
    compare(archive, module)


def test_torch_fx_and_data_parallel_modules_are_read() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    traced = torch.fx.symbolic_trace(module)
    compare(open_archive(saved(traced)), traced)
    compare(open_archive(saved(nn.DataParallel(module))), nn.DataParallel(module))


def test_a_frozen_script_is_refused() -> None:
    module = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(2, 3)).eval()))
    with pytest.raises(ArchiveError, match="frozen"):
        open_archive(scripted(module))


def test_a_script_without_weights_is_a_model_without_tensors() -> None:
    archive = open_archive(scripted(nn.ReLU()))
    assert archive.is_model
    assert not archive.tensors
