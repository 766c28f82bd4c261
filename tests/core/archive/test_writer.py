"""Writing into a copy of a template. (That the bytes are torch's own is shown for every layer in test_layers.)"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fl_server_core.archive import Archive, ArchiveError, ArchiveWriter, copy_tensors, open_archive
from tests.builders.files import saved, scripted
from tests.core.archive.files import bits, load_module, packed, records_of
from tests.memory import anonymous_memory


def test_a_template_that_is_not_written_to_is_copied_as_it_is(tmp_path: Path) -> None:
    content = saved(nn.Linear(2, 3))
    with ArchiveWriter(open_archive(content), tmp_path / "new.pt"):
        pass
    assert (tmp_path / "new.pt").read_bytes() == content


def test_an_error_on_the_way_leaves_no_file(tmp_path: Path) -> None:
    template = open_archive(saved(nn.Linear(2, 3)))
    with pytest.raises(ValueError, match="broadcast"), ArchiveWriter(template, tmp_path / "new.pt") as writer:
        writer.array("bias")[...] = np.zeros(7)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ArchiveWriter(open_archive(saved(nn.Linear(2, 3))), tmp_path / "nowhere" / "new.pt")
    assert list(tmp_path.iterdir()) == []


def test_finishing_twice_is_finishing_once(tmp_path: Path) -> None:
    template = open_archive(saved(nn.Linear(2, 3)))
    with ArchiveWriter(template, tmp_path / "new.pt") as writer:
        writer.array("bias")[...] = 5
        writer.finish()
        writer.finish()
    with open_archive(tmp_path / "new.pt") as archive:
        archive.verify_checksums()
        assert (archive.array("bias") == 5).all()


def test_a_name_that_the_template_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), ArchiveWriter(open_archive(saved(nn.Linear(2, 3))), tmp_path / "new.pt") as writer:
        writer.array("scale")


def test_the_template_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(nn.Linear(2, 3), path)
    content = path.read_bytes()
    with open_archive(path) as template, ArchiveWriter(template, tmp_path / "new.pt") as writer:
        writer.array("weight")[...] = 1
    assert path.read_bytes() == content


def test_values_from_a_script_go_into_a_pickled_model_and_back(tmp_path: Path) -> None:
    one, other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    template, expected = saved(one), saved(other)
    copy_tensors(open_archive(template), open_archive(scripted(other)), tmp_path / "pickled.pt")
    assert (tmp_path / "pickled.pt").read_bytes() == expected
    copy_tensors(open_archive(scripted(one)), open_archive(expected), tmp_path / "scripted.pt")
    archive = open_archive(tmp_path / "scripted.pt")
    assert archive.kind == "script"
    for name, tensor in other.state_dict().items():
        assert archive.array(name).tobytes() == bits(tensor)


def test_nothing_but_tensors_of_the_other_file_is_copied(tmp_path: Path) -> None:
    one, other = nn.Linear(2, 3), nn.Linear(2, 3)
    other.secret = "smuggled"  # type: ignore[assignment]
    copy_tensors(open_archive(saved(one)), open_archive(saved(other)), tmp_path / "new.pt")
    written = (tmp_path / "new.pt").read_bytes()
    assert b"smuggled" not in written
    assert not hasattr(load_module(written), "secret")


def test_tensors_that_do_not_fit_are_not_copied(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="'weight' has the shape"):
        copy_tensors(open_archive(saved(nn.Linear(2, 3))), open_archive(saved(nn.Linear(3, 3))), tmp_path / "new.pt")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_another_tool_without_descriptors_and_identity_is_rewritten_correctly(tmp_path: Path) -> None:
    records = records_of(saved({"x": torch.zeros(3)}))
    del records["archive/.data/serialization_id"]
    with ArchiveWriter(open_archive(packed(records)), tmp_path / "new.pt") as writer:
        writer.array("x")[...] = [1, 2, 3]
    records["archive/data/0"] = np.array([1, 2, 3], np.float32).tobytes()
    assert (tmp_path / "new.pt").read_bytes() == packed(records)


def test_an_identity_that_was_combined_in_another_way_is_left_alone(tmp_path: Path) -> None:
    records = records_of(saved({"x": torch.zeros(3)}))
    records["archive/.data/serialization_id"] = b"7" * 40
    with ArchiveWriter(open_archive(packed(records)), tmp_path / "new.pt") as writer:
        writer.array("x")[...] = 1
    assert records_of((tmp_path / "new.pt").read_bytes())["archive/.data/serialization_id"] == b"7" * 40


def test_empty_tensors_and_models_without_tensors_are_written(tmp_path: Path) -> None:
    for value in ({"x": torch.ones(0, 3), "y": torch.ones(1)}, nn.ReLU()):
        template = open_archive(saved(value))
        copy_tensors(template, template, tmp_path / "new.pt")
        assert (tmp_path / "new.pt").read_bytes() == saved(value)


def test_what_is_written_takes_no_anonymous_memory(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(16 << 20)}, tmp_path / "model.pt")
    before = anonymous_memory()
    with open_archive(tmp_path / "model.pt") as template, ArchiveWriter(template, tmp_path / "new.pt") as writer:
        writer.array("x")[...] = 3
        grown = anonymous_memory() - before
    assert grown < 16 << 20
    assert os.path.getsize(tmp_path / "new.pt") == os.path.getsize(tmp_path / "model.pt")


class TestFrontToBack:
    def parts(self, tensor: torch.Tensor, size: int = 5) -> list[np.ndarray]:
        flat = tensor.detach().reshape(-1).numpy()
        return [flat[at : at + size] for at in range(0, len(flat), size)]

    def rewritten(self, template: object, values: dict[str, torch.Tensor], path: Path, names: list[str]) -> bytes:
        with ArchiveWriter(open_archive(saved(template)), path) as writer:
            for name in names:
                writer.write(name, self.parts(values[name]))
        return path.read_bytes()

    def write(self, template: Archive, name: str, parts: list[np.ndarray], path: Path) -> None:
        with ArchiveWriter(template, path) as writer:
            writer.write(name, parts)

    def test_the_file_is_what_torch_writes_in_whatever_order_the_tensors_come(self, tmp_path: Path) -> None:
        one, other = (
            nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)),
            nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)),
        )
        other(torch.randn(4, 2))
        values = other.state_dict()
        for names in (list(values), list(reversed(values)), [*values, *values]):
            assert self.rewritten(one, values, tmp_path / "new.pt", names) == saved(other)

    def test_names_come_in_the_order_of_their_bytes_and_tied_ones_once(self, tmp_path: Path) -> None:
        shared = torch.zeros(4, 4)
        state = {"late": shared[2], "none": torch.zeros(0), "early": shared[0], "tied": shared[2], "own": torch.ones(1)}
        with ArchiveWriter(open_archive(saved(state)), tmp_path / "new.pt") as writer:
            assert writer.names() == ["early", "late", "own"]

    @pytest.mark.parametrize("streamed", [True, False])
    def test_tensors_that_share_a_storage_or_lie_across_it_are_written_where_they_are(
        self, tmp_path: Path, streamed: bool
    ) -> None:
        def state(seed: int) -> dict[str, torch.Tensor]:
            torch.manual_seed(seed)
            whole, matrix = torch.randn(30), torch.randn(4, 6)
            return {"a": whole[:10].view(2, 5), "b": whole[12:30:2], "c": matrix.t(), "d": torch.randn(7)}

        names = list(state(0)) if streamed else ["d", "c", "b", "a"]
        template, values = state(0), state(1)
        written = self.rewritten(template, values, tmp_path / "new.pt", names)
        for name, tensor in template.items():
            tensor.copy_(values[name])
        assert written == saved(template)

    def test_a_tensor_may_be_written_in_place_after_it_was_streamed(self, tmp_path: Path) -> None:
        with ArchiveWriter(open_archive(saved({"x": torch.zeros(3)})), tmp_path / "new.pt") as writer:
            writer.write("x", self.parts(torch.ones(3)))
            array = writer.array("x")
            assert array.tolist() == [1, 1, 1]
            array[1] = 5
        assert (tmp_path / "new.pt").read_bytes() == saved({"x": torch.tensor([1.0, 5.0, 1.0])})

    @pytest.mark.parametrize("size", [4, 6, 0])
    @pytest.mark.parametrize("name", ["x", "column"])
    def test_parts_of_another_size_are_refused_and_leave_no_file(self, tmp_path: Path, size: int, name: str) -> None:
        template = open_archive(saved({"x": torch.zeros(5), "column": torch.zeros(5, 3)[:, 0]}))
        parts = self.parts(torch.zeros(size), 2)
        with pytest.raises(ValueError, match="smaller" if size < 5 else "larger"):
            self.write(template, name, parts, tmp_path / "new.pt")
        assert list(tmp_path.iterdir()) == []

    def test_an_expanded_view_is_refused(self, tmp_path: Path) -> None:
        template = open_archive(saved({"x": torch.zeros(1).expand(3)}))
        with pytest.raises(ArchiveError, match="'x' is an expanded view"):
            self.write(template, "x", self.parts(torch.zeros(3)), tmp_path / "new.pt")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_without_checksums_stays_without(self, tmp_path: Path) -> None:
        torch.serialization.set_crc32_options(False)
        try:
            template, expected = saved({"x": torch.zeros(3)}), saved({"x": torch.ones(3)})
        finally:
            torch.serialization.set_crc32_options(True)
        with ArchiveWriter(open_archive(template), tmp_path / "new.pt") as writer:
            writer.write("x", self.parts(torch.ones(3)))
        assert (tmp_path / "new.pt").read_bytes() == expected
