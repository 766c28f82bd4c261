"""What the checks say of where models run."""

from pathlib import Path

import pytest
from django.core.checks import WARNING
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from fl_server import checks
from fl_server.checks import sandbox
from fl_server_ai.sandbox import Wall, find_device
from fl_server_ai.sandbox.walls import STOPS
from tests.house.checks.found import ids

pytestmark = pytest.mark.once


def missing(*names: str) -> tuple[Wall, ...]:
    """What a system says of the sandbox's walls that lacks some of them."""
    return tuple(Wall(name, stops, name not in names, "x" * (name in names)) for name, stops in STOPS.items())


@pytest.mark.parametrize("names", [["nowhere.Model"], ["nowhere:Model.Inner"], ["nowhere.*"], ["Model"]])
def test_trust_in_what_is_not_installed_is_refused(settings: Settings, names: list[str]) -> None:
    settings.FL_TRUSTED_GLOBALS = ["numpy.ndarray", "getattr(numpy, 'ndarray')"]
    assert ids() == []
    settings.FL_TRUSTED_GLOBALS = names
    assert ids() == ["fl_server.E005"]


def test_a_trusted_module_that_fails_on_import_is_refused_with_its_name_and_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unlicensed.py").write_text("raise RuntimeError('no licence found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    settings.FL_TRUSTED_GLOBALS = ["unlicensed.Net", "numpy.ndarray"]
    with pytest.raises(ImproperlyConfigured, match=r"fl_server\.E005.*'unlicensed'.*RuntimeError: no licence found"):
        checks.refuse_misconfiguration()


def test_each_wall_that_is_missing_is_a_warning_of_its_own_for_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "standing", missing)
    assert list(checks.check_walls()) == []
    monkeypatch.setattr(sandbox, "standing", lambda: missing("landlock", "uid", "memory"))
    messages = list(checks.check_walls())
    # Memory has a warning that every command shows.
    assert [message.id for message in messages] == ["fl_server.W030", "fl_server.W037"]
    assert all(f"add {message.id} to FL_SILENCED_CHECKS" in str(message.hint) for message in messages)
    assert all(message.level == WARNING for message in messages)
    assert sandbox.WALLS.keys() | {"system_calls", "memory", "cpu", "descriptors"} == STOPS.keys()
    assert len({number for number, _ in sandbox.WALLS.values()}) == len(sandbox.WALLS)


@pytest.mark.parametrize(
    ("device", "found"), [("cpu", []), ("auto", []), ("cuda:1", ["fl_server.E024"]), ("cpu:0", ["fl_server.W051"])]
)
def test_a_device_for_models_must_be_there_and_costs_walls(device: str, found: list[str], settings: Settings) -> None:
    """`cpu:0` stands for a GPU here; a machine that has one finds more."""
    settings.FL_INFERENCE_DEVICE = device
    if device not in ("cpu", "cpu:0") and not find_device("auto").is_cpu:
        pytest.skip("This machine has a GPU.")
    assert [message.id for message in checks.check_inference_device()] == found
