"""Modules that the operator trusts, and that fail when they are imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from fl_server_ai.sandbox import ModelNotTrusted, Sandbox
from fl_server_ai.sandbox.trusted import failing_imports, trusted_modules
from tests.ai.sandbox import hostile
from tests.ai.sandbox.sandboxes import new_sandbox, prediction
from tests.builders.files import saved, script

MODULES = {
    "fails_on_import": "raise RuntimeError('no licence found')",
    "asks_to_end": "import sys; sys.exit(3)",
    "ends_the_process": "import os; os._exit(0)",
    "takes_for_ever": "import time; time.sleep(1000)",
    "starts_a_thread": "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    "prints": "print('hello'); import sys; print('[]', file=sys.stderr)",
    "half_broken/__init__": "",
    "half_broken/good": "import torch\nclass Net(torch.nn.Identity): pass",
    "half_broken/bad": "raise ImportError('an optional part')",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the modules, on the path of the processes that are started."""
    path = tmp_path_factory.mktemp("modules")
    for name, code in MODULES.items():
        file = path / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(path), prepend=":")
        yield path


@pytest.fixture(scope="module")
def trusting(folder: Path) -> Iterator[Sandbox]:
    sandbox = new_sandbox(
        trusted=("fails_on_import.Net", "asks_to_end.Net", "half_broken.*", f"{hostile.__name__}.Honest")
    )
    yield sandbox
    sandbox.close()


def of_module(name: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A pickled model of a class `Net` in a module of this name."""

    module = ModuleType(name)
    module.Net = type("Net", (torch.nn.Identity,), {"__module__": name})  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name.partition(".")[0], ModuleType("its package"))
        patch.setitem(sys.modules, name, module)
        return saved(module.Net())


@pytest.mark.parametrize("model", [torch.nn.Identity(), script(torch.nn.Identity()), hostile.Honest()])
def test_models_that_do_not_need_the_failing_module_are_run(trusting: Sandbox, model: torch.nn.Module) -> None:
    reply = trusting.run(prediction(saved(model)), tenant="a")
    np.testing.assert_array_equal(
        reply.arrays["inference"], np.full((2, 3), 2.0 if model.__class__ is hostile.Honest else 1.0)
    )


@pytest.mark.parametrize("module", ["fails_on_import", "asks_to_end", "half_broken.bad"])
def test_a_model_that_needs_the_failing_module_is_refused_with_its_name(
    trusting: Sandbox, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = of_module(module, monkeypatch)
    with pytest.raises(ModelNotTrusted, match=f"^The model needs the module {module}, which fails on import"):
        trusting.run(prediction(file), tenant="a")


def test_the_other_modules_of_a_trusted_package_are_usable(trusting: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    reply = trusting.run(prediction(of_module("half_broken.good", monkeypatch)), tenant="a")
    np.testing.assert_array_equal(reply.arrays["inference"], np.ones((2, 3)))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("fails_on_import.Net", "RuntimeError: no licence found"),
        ("asks_to_end.Net", "SystemExit: 3"),
        ("ends_the_process.Net", "It ended the process."),
        ("starts_a_thread.Net", "It starts a thread, and a process with threads cannot be forked."),
        ("nowhere:Net.Inner", "ModuleNotFoundError: No module named 'nowhere'"),
        ("Net", "ValueError: Empty module name"),
    ],
)
def test_what_is_wrong_with_a_module_is_found_without_importing_it_here(name: str, sentence: str) -> None:
    (module,) = trusted_modules([name])
    assert failing_imports(["prints.Net", name]) == {module: sentence}
    assert module not in sys.modules


@pytest.mark.usefixtures("folder")
def test_a_module_that_takes_too_long_is_found_too() -> None:
    assert failing_imports(["prints.Net", "takes_for_ever.Net"], seconds=2) == {
        "takes_for_ever": "It took longer than 2 seconds."
    }


def test_nothing_trusted_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subprocess.run", None)
    assert failing_imports([]) == {}
