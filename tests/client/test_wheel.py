"""The package's wheel in an environment that has next to nothing."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.server_process import REPOSITORY

pytestmark = [pytest.mark.once, pytest.mark.timeout(180)]
ABSENT = ("torch", "numpy", "safetensors", "typer", "rich", "platformdirs", "lightning")
Python = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "from setuptools.build_meta import build_wheel; import sys; build_wheel(sys.argv[1])"
    source = folder / "source"
    subprocess.run(["cp", "-r", str(REPOSITORY / "clients/python"), str(source)], check=True)
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, check=True, capture_output=True, timeout=120)
    [found] = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Python:
    """Runs a program where only the wheel and what httpx needs can be imported."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in ("httpx", "httpcore", "h11", "anyio", "sniffio", "certifi", "idna", "typing_extensions.py"):
        found = Path(httpx.__file__).parent.parent / name
        if found.exists():
            (site / name).symlink_to(found)

    def run(program: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(site)!r})\n{program}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run


def test_it_is_imported_with_httpx_alone(python: Python) -> None:
    done = python(
        "import fl_server_client, fl_server_client.participant\n"
        f"print([name for name in {ABSENT} if name in sys.modules], len(fl_server_client.__all__) > 20)"
    )
    assert (done.returncode, done.stdout) == (0, "[] True\n"), done.stderr


@pytest.mark.parametrize(
    ("program", "package", "extra"),
    [
        ("fl_server_client.TorchFormat().load(b'')", "torch", "torch"),
        ("fl_server_client.NumpyFormat().load(b'')", "numpy and safetensors", "numpy"),
        ("fl_server_client.Actor('http://x').upload_model(object(), 'x')", "torch", "torch"),
        ("import fl_server_client.torch_participant", "torch", "torch"),
        ("import fl_server_client.lightning_participant", "torch", "torch"),
        ("import fl_server_client.watching", "rich", "cli"),
    ],
)
def test_a_missing_package_is_named_with_what_to_install(
    python: Python, program: str, package: str, extra: str
) -> None:
    done = python(f"import fl_server_client\n{program}")
    assert done.stderr.splitlines()[-1] == (
        f"fl_server_client.errors.MissingPackage: This needs {package}: pip install 'fl-server-client[{extra}]'"
    )


def test_the_command_line_says_what_it_needs(python: Python) -> None:
    done = python("from fl_server_client.cli import main; main()")
    assert done.returncode == 2
    assert done.stderr in [
        f"fl needs {name}: pip install 'fl-server-client[cli]'\n" for name in ("typer", "rich", "platformdirs")
    ]


def test_it_works_under_another_name(python: Python) -> None:
    """The server's package has a copy of it."""
    done = python(
        "import fl_server_client, importlib.util, pathlib\n"
        "folder = pathlib.Path(fl_server_client.__file__).parent\n"
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('fl_server_client')]\n"
        "spec = importlib.util.spec_from_file_location('copied', folder / '__init__.py', "
        "submodule_search_locations=[str(folder)])\n"
        "sys.modules['copied'] = module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "import copied.running, copied.cli\n"
        "print([name for name in sys.modules if name.startswith('fl_server_client')])"
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
