"""A method is one file: in this project's package, or in a package of somebody else's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fl_server_core.registry import uncertainty_methods
from tests.documents import REPOSITORY

METHOD = """
from fl_server_ai.uncertainty.base import UncertaintyBase, output_of
from fl_server_core.registry import uncertainty_methods

@uncertainty_methods.register
class Twice(UncertaintyBase):
    name = "TWICE"
    title = "twice"

    @classmethod
    def samples(cls, inputs, subject, options, /):
        import torch

        return torch.stack([output_of(subject.model, inputs), 3 * output_of(subject.model, inputs)])
"""
METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: somebody-elses\nVersion: 1\n",
    "entry_points.txt": "[fl_server.uncertainty]\ntwice = somebody_elses:Twice\n",
}
PROGRAM = """
import django
django.setup()
from fl_server_api.serializers.training import CreateTrainingRequest
from fl_server_core.models import Training
from tests.ai.sandbox.sandboxes import new_sandbox, prediction
from tests.builders.files import linear, saved

assert "TWICE" in CreateTrainingRequest().fields["uncertainty_method"].choices
assert Training(uncertainty_method="TWICE").get_uncertainty_method_display() == "twice"
sandbox = new_sandbox()
reply = sandbox.run(prediction(saved(linear()), method="TWICE"), tenant="a")
print(reply.arrays["inference"].tolist())
sandbox.close()
"""


def run(code: str, *paths: Path) -> str:
    path = os.pathsep.join(str(path) for path in (*paths, REPOSITORY))
    environment = {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=paths[0],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_methods_of_this_project_are_registered_by_name_with_the_default_first() -> None:
    assert uncertainty_methods.choices() == [
        ("NONE", "none"),
        ("ENSEMBLE", "ensemble"),
        ("MC_DROPOUT", "MC dropout"),
        ("SWAG", "SWAG"),
    ]
    needs = {method.name: (method.model_kind, method.round_kind) for method in uncertainty_methods.values()}
    assert needs == {
        "NONE": ("GlobalModel", ""),
        "ENSEMBLE": ("MeanModel", ""),
        "MC_DROPOUT": ("GlobalModel", ""),
        "SWAG": ("SWAGModel", "swag"),
    }


def test_a_method_in_a_package_of_its_own_can_be_chosen_and_asked(tmp_path: Path) -> None:
    (tmp_path / "somebody_elses.py").write_text(METHOD)
    folder = tmp_path / "somebody_elses-1.dist-info"
    folder.mkdir()
    for name, content in METADATA.items():
        (folder / name).write_text(content)
    # Samples of 4 and 12: three ones times one, plus one, and three times that.
    assert run(PROGRAM, tmp_path) == "[[8.0, 8.0], [8.0, 8.0]]\n"


def test_a_file_in_the_folder_of_methods_is_all_that_a_new_method_needs(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "fl_server_ai", tmp_path / "fl_server_ai")
    (tmp_path / "fl_server_ai" / "uncertainty" / "twice.py").write_text(METHOD)
    assert run(PROGRAM, tmp_path) == "[[8.0, 8.0], [8.0, 8.0]]\n"
