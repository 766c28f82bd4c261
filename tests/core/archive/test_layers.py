"""Over every kind of module in torch.nn, in both formats. What torch itself cannot save is skipped, saying why."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from torch import nn

from fl_server_core.archive import Archive, ArchiveError, ArchiveWriter, check_compatible, open_archive
from tests.builders.files import saved, script, scripted
from tests.core.archive.files import bits, load_module, load_script, randomise
from tests.core.archive.layers import LAYERS, is_lazy, make

Made = TypeVar("Made")


def possible(name: str, make_it: Callable[[], Made]) -> Made:
    """What torch makes, or a skipped test where torch itself fails."""
    try:
        return make_it()
    except Exception as error:  # noqa: BLE001 - torch raises errors of any kind for what it cannot save or script
        reason = next(line for line in str(error).splitlines() if line.strip())
        pytest.skip(f"torch itself cannot do it with {name}: {reason.strip()[:80]}")


def compare(archive: Archive, module: nn.Module) -> None:
    state = module.state_dict()
    parameters = dict(module.named_parameters())
    assert list(archive.tensors) == list(state)
    assert list(archive.parameter_names) == list(parameters)
    assert archive.parameter_count == sum(parameter.numel() for parameter in parameters.values())
    for name, tensor in state.items():
        info, array = archive.tensors[name], archive.array(name)
        assert f"torch.{info.dtype}" == str(tensor.dtype)
        assert info.shape == array.shape == tuple(tensor.shape)
        assert array.tobytes() == bits(tensor)
        assert not array.flags.writeable


def write(template: bytes, values: bytes, path: Path) -> bytes:
    with open_archive(template) as archive, open_archive(values) as other, ArchiveWriter(archive, path) as writer:
        for name in archive.tensors:
            writer.array(name)[...] = other.array(name)
    return path.read_bytes()


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith("Lazy")])
def test_a_pickled_layer_reads_as_its_state_dict_and_is_rewritten_as_torch_would(name: str, tmp_path: Path) -> None:
    module = make(name)
    template = possible(name, lambda: saved(module))
    with open_archive(template) as archive:
        assert archive.kind == "module"
        compare(archive, load_module(template))
        archive.verify_checksums()
    randomise(module.state_dict(), seed=1)
    values = saved(module)
    written = write(template, saved(module.state_dict()), tmp_path / "written.pt")
    assert written == values
    for key, tensor in load_module(written).state_dict().items():
        assert bits(tensor) == bits(module.state_dict()[key])


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith("Lazy")])
def test_a_scripted_layer_reads_as_its_state_dict_and_is_rewritten_as_torch_would(name: str, tmp_path: Path) -> None:
    module = possible(name, lambda: script(make(name)))
    template = possible(name, lambda: scripted(module))
    with open_archive(template) as archive:
        assert archive.kind == "script"
        compare(archive, module)
        archive.verify_checksums()
    randomise(module.state_dict(), seed=2)
    values = scripted(module)
    written = write(template, values, tmp_path / "written.pt")
    assert written == values
    compare(open_archive(values), load_script(written))


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("Lazy")])
def test_a_layer_whose_shapes_are_not_known_yet_is_refused(name: str) -> None:
    module = make(name)
    assert is_lazy(module)
    with pytest.raises(ArchiveError, match="is not a plain tensor with values"):
        open_archive(saved(module))


def test_every_kind_of_module_that_torch_nn_has_is_looked_at() -> None:
    assert len(LAYERS) >= 160
    assert {"Linear", "Conv3d", "MultiheadAttention", "LSTM", "Transformer", "DataParallel"} <= set(LAYERS)


def test_a_pickled_a_scripted_and_a_bare_state_of_one_model_are_compatible() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    contents = [saved(module), scripted(module), saved(module.state_dict())]
    archives = [open_archive(content) for content in contents]
    assert [archive.kind for archive in archives] == ["module", "script", "state_dict"]
    for reference in archives:
        for candidate in archives:
            check_compatible(reference, candidate)


def test_a_traced_module_reads_as_its_state_dict() -> None:
    torch.manual_seed(0)
    module = torch.jit.trace(nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1)), torch.rand(1, 2))  # type: ignore[no-untyped-call]
    compare(open_archive(scripted(module)), module)
