"""The weighted mean of whole archives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fl_server_ai.aggregation.archives import aggregate_archives
from fl_server_core.archive import ArchiveError, open_archive
from tests.builders.files import saved, scripted
from tests.memory import anonymous_memory


def averaged(template: object, sources: list[object], weights: list[float], path: Path) -> bytes:
    archives = [open_archive(saved(source)) for source in sources]
    aggregate_archives(open_archive(saved(template)), archives, weights, path, method="FedAvg")
    return path.read_bytes()


class TestArchives:
    def test_the_mean_of_models_is_what_torch_would_write_for_it(self, tmp_path: Path) -> None:
        models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double() for _ in range(3)]
        for steps, module in enumerate(models):
            module.load_state_dict(module.state_dict() | {"1.num_batches_tracked": torch.tensor(steps + 1)})
        weights = [1.0, 2.0, 5.0]
        written = averaged(models[0], list(models), weights, tmp_path / "mean.pt")
        states = [module.state_dict() for module in models]
        with torch.no_grad():
            for name, tensor in models[0].state_dict().items():
                mean = sum(w / 8 * state[name].double() for w, state in zip(weights, states, strict=True))
                assert isinstance(mean, torch.Tensor)
                array = open_archive(written).array(name)
                np.testing.assert_allclose(array, mean.round() if tensor.dtype == torch.int64 else mean, rtol=1e-14)
                tensor.copy_(torch.from_numpy(array.copy()))
        assert written == saved(models[0])

    def test_equal_input_gives_bitwise_equal_output(self, tmp_path: Path) -> None:
        models: list[object] = [nn.Linear(300, 400) for _ in range(4)]
        one = averaged(models[0], models, [1, 2, 3, 4], tmp_path / "one.pt")
        other = averaged(models[0], models, [1, 2, 3, 4], tmp_path / "other.pt")
        assert one == other

    def test_pickled_scripted_and_bare_updates_count_alike(self, tmp_path: Path) -> None:
        template, *models = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(4)]
        content = saved(template)
        makers: list[Callable[[nn.Module], bytes]] = [saved, lambda m: saved(m.state_dict()), scripted]
        results = []
        for number in range(3):
            sources = [open_archive(makers[(number + i) % 3](module)) for i, module in enumerate(models)]
            out = tmp_path / f"{number}.pt"
            aggregate_archives(open_archive(content), sources, [1, 2, 3], out, method="FedAvg")
            results.append(out.read_bytes())
        assert results[0] == results[1] == results[2]

    def test_tied_and_strided_tensors_are_averaged_where_they_are(self, tmp_path: Path) -> None:
        def state(value: float) -> dict[str, torch.Tensor]:
            whole = torch.full((4, 6), value)
            return {"tied": whole[1:3], "too": whole[1:3], "turned": whole[3].view(2, 3).t()}

        written = averaged(state(0.0), [state(1.0), state(4.0)], [2, 1], tmp_path / "mean.pt")
        archive = open_archive(written)
        for name in archive.tensors:
            assert (archive.array(name) == 2).all()
        expected = torch.zeros(4, 6)
        expected[1:] = 2
        assert written == saved({"tied": expected[1:3], "too": expected[1:3], "turned": expected[3].view(2, 3).t()})

    def test_an_expanded_view_in_the_template_is_refused_and_leaves_no_file(self, tmp_path: Path) -> None:
        state: dict[str, object] = {"x": torch.ones(1).expand(3)}
        with pytest.raises(ArchiveError, match="'x' is an expanded view"):
            averaged(state, [state, state], [1, 1], tmp_path / "mean.pt")
        assert not (tmp_path / "mean.pt").exists()

    def test_the_heartbeat_is_heard_in_between_and_its_error_ends_the_work(self, tmp_path: Path) -> None:
        path = tmp_path / "model.pt"
        torch.save({f"t{i}": torch.zeros(1 << 20) for i in range(8)}, path)
        template, sources = open_archive(path), [open_archive(path) for _ in range(8)]
        beats: list[int] = []
        out = tmp_path / "mean.pt"
        aggregate_archives(template, sources, [1] * 8, out, method="FedAvg", heartbeat=lambda: beats.append(1))
        assert len(beats) == 8 * (8 << 20) // (1 << 24)

        class Lost(Exception):
            pass

        def lost() -> None:
            raise Lost

        with pytest.raises(Lost):
            aggregate_archives(template, sources, [1] * 8, tmp_path / "lost.pt", method="FedAvg", heartbeat=lost)
        assert not (tmp_path / "lost.pt").exists()

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
    @pytest.mark.parametrize("turned", [False, True], ids=["plain", "turned"])
    def test_anonymous_memory_stays_that_of_a_few_blocks(
        self, tmp_path: Path, dtype: torch.dtype, turned: bool
    ) -> None:
        paths = [tmp_path / f"{number}.pt" for number in range(3)]
        for number, path in enumerate(paths):
            tensor = torch.full((4096, 4096), float(number)).to(dtype)
            torch.save({"x": tensor.t() if turned else tensor}, path)
        torch.save({"x": tensor}, tmp_path / "template.pt")
        del tensor
        peaks: list[int] = []
        before = anonymous_memory()
        sources = [open_archive(path) for path in paths]
        aggregate_archives(
            open_archive(tmp_path / "template.pt"),
            sources,
            [1, 1, 2],
            tmp_path / "mean.pt",
            method="FedAvg",
            heartbeat=lambda: peaks.append(anonymous_memory() - before),
        )
        peaks.append(anonymous_memory() - before)
        assert len(peaks) >= 3
        assert max(peaks) < 16 << 20
        assert (open_archive(tmp_path / "mean.pt").array("x").astype(np.float32) == 1.25).all()
