"""The archive reader without the server, as docs/archive.md shows it."""

from pathlib import Path

import torch

from tests.builders.files import saved
from tests.core.archive.files import load_module
from tests.documents import python_blocks, run_without_django


def layer(value: float) -> torch.nn.Module:
    linear = torch.nn.Linear(2, 1)
    for parameter in linear.parameters():
        torch.nn.init.constant_(parameter, value)
    return linear


def test_the_documented_program_averages_two_files_and_refuses_what_does_not_fit(tmp_path: Path) -> None:
    (code,) = python_blocks("archive.md")
    program = tmp_path / "average.py"
    program.write_text(code)
    for name, module in (("a.pt", layer(1.0)), ("b.pt", layer(4.0)), ("wide.pt", torch.nn.Linear(3, 1))):
        (tmp_path / name).write_bytes(saved(module))
    said = run_without_django(program, "a.pt", "b.pt", "mean.pt")
    assert "weight float32 (1, 2)" in said
    assert "only torch's own" in said
    mean = load_module((tmp_path / "mean.pt").read_bytes())
    values = {name: value.tolist() for name, value in mean.state_dict().items()}
    assert values == {"weight": [[2.5, 2.5]], "bias": [2.5]}
    assert "The file cannot be used: " in run_without_django(program, "a.pt", "wide.pt", "none.pt")
    assert not (tmp_path / "none.pt").exists()
