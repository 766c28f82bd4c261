"""Aggregating files without a server."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from fl_server_ai.aggregation import aggregate_files
from fl_server_core.archive import ArchiveError
from tests.ai.aggregation.models import aggregated, arrays, bag, written
from tests.builders.files import saved
from tests.server_process import REPOSITORY

PACKAGE = """
    import numpy as np
    from pydantic import Field

    from fl_server_ai.aggregation import Aggregation
    from fl_server_core.schema import OptionsSchema


    class PowerOptions(OptionsSchema):
        p: int = Field(2, ge=1, le=9)


    class PowerMean(Aggregation):
        name = "PowerMean"
        title = "Power mean"
        paper = "Hölder"
        Options = PowerOptions

        def reduce(self, block, weights):
            return np.average(block ** self.options.p, axis=0, weights=weights) ** (1 / self.options.p)
"""


def run(code: str, folder: Path, **environment: str) -> str:
    """What a process that knows of no Django settings prints."""
    outside = {key: value for key, value in os.environ.items() if key != "DJANGO_SETTINGS_MODULE"}
    path = os.pathsep.join([str(REPOSITORY), str(folder), outside.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=outside | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def install(folder: Path) -> None:
    """A package with one method, as an installer leaves it."""
    (folder / "power_mean.py").write_text(textwrap.dedent(PACKAGE), encoding="utf-8")
    facts = folder / "power_mean-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: power-mean\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[fl_server.aggregation]\npower = power_mean:PowerMean\n")


def test_the_first_file_is_the_template(tmp_path: Path) -> None:
    one, other = nn.Linear(2, 3), nn.Linear(2, 3)
    paths = written(tmp_path, [one, other.state_dict()])
    aggregate_files(paths, [1, 3], tmp_path / "new.pt")
    with torch.no_grad():
        for own, second in zip(one.parameters(), other.parameters(), strict=True):
            own.copy_(own * 0.25 + second * 0.75)
    assert (tmp_path / "new.pt").read_bytes() == saved(one)


def test_a_template_has_no_say(tmp_path: Path) -> None:
    (template,) = written(tmp_path, [bag([100.0])], "model")
    assert aggregated(tmp_path, [bag([1.0]), bag([2.0])], "FedAvg", template=template)["w"].tolist() == [1.5]


def test_the_result_may_take_the_place_of_an_update_and_a_state_its_own(tmp_path: Path) -> None:
    paths = written(tmp_path, [bag([1.0] * 5000), bag([2.0] * 5000)])
    aggregate_files(paths, [1, 1], paths[0])
    assert arrays(paths[0])["w"].tolist() == [1.5] * 5000
    expected = []
    for name in ("a", "b"):
        aggregate_files(paths, [1, 1], tmp_path / "new.pt", "FedAdam", state_out=tmp_path / name)
    for new in ("c", "b"):
        aggregate_files(paths, [1, 1], tmp_path / "new.pt", "FedAdam", state=tmp_path / "b", state_out=tmp_path / new)
        expected.append((tmp_path / new).read_bytes())
    assert expected[0] == expected[1] != (tmp_path / "a").read_bytes()
    assert not list(tmp_path.glob("*.part"))


def test_files_that_do_not_fit_are_refused_and_the_old_result_stays(tmp_path: Path) -> None:
    paths = written(tmp_path, [bag([1.0]), bag([1.0, 2.0])])
    (tmp_path / "new.pt").write_text("old")
    with pytest.raises(ArchiveError, match="'w' has the shape"):
        aggregate_files(paths, [1, 1], tmp_path / "new.pt")
    with pytest.raises(ValueError, match="At least one file"):
        aggregate_files([], [], tmp_path / "new.pt")
    with pytest.raises(ValueError, match="as many weights"):
        aggregate_files(paths[:1], [1, 1], tmp_path / "new.pt")
    assert (tmp_path / "new.pt").read_text() == "old"


def test_neither_torch_nor_django_is_imported(tmp_path: Path) -> None:
    written(tmp_path, [bag([float(i)], steps=torch.tensor(i)) for i in range(5)])
    code = """
        import sys
        from fl_server_ai.aggregation import aggregate_files

        paths = [f"update{i}.pt" for i in range(5)]
        for method in ("FedAvg", "FedDC", "FedProx", "Median", "TrimmedMean", "MultiKrum", "FedAdam"):
            aggregate_files(paths, [1] * 5, f"{method}.pt", method, state_out="state")
        print([name for name in ("torch", "django", "rest_framework", "celery") if name in sys.modules])
    """
    assert run(code, tmp_path) == "[]"
    assert arrays(tmp_path / "Median.pt")["w"].tolist() == [2]


@pytest.mark.parametrize("setup", ["", "import django; django.setup()"], ids=["alone", "in Django"])
def test_a_package_brings_a_method_of_its_own(tmp_path: Path, setup: str) -> None:
    install(tmp_path)
    written(tmp_path, [bag([1.0, 3.0]), bag([7.0, 3.0])])
    code = f"""
        import sys
        {setup}
        from fl_server_ai.aggregation import aggregate_files

        aggregate_files(["update0.pt", "update1.pt"], [1, 1], "new.pt", "PowerMean", options={{"p": 3}})
        print("torch" in sys.modules)
    """
    settings = {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", "FL_DATA_DIR": str(tmp_path / "var")}
    assert run(code, tmp_path, **(settings if setup else {})) == "False"
    assert arrays(tmp_path / "new.pt")["w"].tolist() == [pytest.approx(((1 + 343) / 2) ** (1 / 3), rel=1e-6), 3]


def test_a_method_of_a_package_is_offered_and_its_options_are_validated(tmp_path: Path) -> None:
    install(tmp_path)
    code = """
        import django; django.setup()
        from django.core.exceptions import ValidationError
        from fl_server_api.serializers.training import CreateTrainingRequest
        from fl_server_api.views.trainings import TrainingsView
        from fl_server_core.models import Training
        from fl_server_core.options import validate_options

        print(list(CreateTrainingRequest().fields["aggregation_method"].choices)[-1])
        print(list(Training._meta.get_field("aggregation_method").choices)[-1])
        try:
            validate_options({"aggregation": {"p": 10}}, "PowerMean", "NONE")
        except ValidationError as error:
            print(error.messages)
    """
    environment = {"DJANGO_SETTINGS_MODULE": "fl_server.settings.development", "FL_DATA_DIR": str(tmp_path / "var")}
    assert run(code, tmp_path, **environment).splitlines() == [
        "PowerMean",
        "('PowerMean', 'Power mean')",
        "['aggregation.p must be a whole number from 1 to 9.']",
    ]
