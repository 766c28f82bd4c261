"""The server's wheel, built and installed in an environment of its own, away from the repository."""

from __future__ import annotations

import os
import re
import select
import shutil
import site as site_module
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.server_process import REPOSITORY, server_environment

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", ".env.example")
OURS = ("fl_server*", "__editable__*fl_server*", "sklearn", "scikit_learn*")
"""What the environment must not see of ours; and the demo needs no scikit-learn."""


def packages() -> list[Path]:
    """The folders of the server's packages."""
    return [path for path in REPOSITORY.glob("fl_server*") if path.suffix != ".egg-info"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves its files in the folder that it builds."""
    copy, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*BUILT_FROM, "clients", *(package.name for package in packages())):
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, copy / name, symlinks=True, ignore=unwanted)
        else:
            shutil.copy(REPOSITORY / name, copy)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    done = subprocess.run([*build, str(out), str(copy)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fl-server` in an environment that has the wheel, and what others made from the environment of the tests."""
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    others = environment / "others"
    others.mkdir()
    for folder in site_module.getsitepackages():
        for path in Path(folder).iterdir():
            if path.suffix != ".pth" and not any(path.match(pattern) for pattern in OURS):
                (others / path.name).symlink_to(path)
    (packages / "others.pth").write_text(f"{others}\n", encoding="utf-8")
    install = [sys.executable, "-m", "pip", "--python", str(environment / "bin/python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True, timeout=120)
    return environment / "bin" / "fl-server"


def variables(home: Path) -> dict[str, str]:
    """A user who has set nothing."""
    kept = {name: value for name, value in server_environment(home).items() if not name.startswith("XDG_")}
    unwanted = ("FL_DATA_DIR", "PYTHONPATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    for name in unwanted:
        kept.pop(name, None)
    return kept | {"HOME": str(home), "OMP_NUM_THREADS": "1", "TMPDIR": str(home)}


def run(command: Path, home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(command), *words],
        cwd=home,
        env=variables(home) | more,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@contextmanager
def serving(command: Path, home: Path) -> Iterator[str]:
    """`fl-server serve`, with nothing set; yields the address."""
    words = [str(command), "serve", "--port", "0"]
    with subprocess.Popen(words, cwd=home, env=variables(home), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], 120)
            found = re.search(r"http://\S+?(?=/)", process.stdout.readline() if ready else "")
            assert found, process.poll()
            yield found.group()
        finally:
            process.terminate()
            process.wait(60)


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    unwanted = re.compile(r"__pycache__|/fl_server_client/cli/")
    expected = {
        str(Path(folder, name).relative_to(REPOSITORY))
        for package in packages()
        for folder, _, names in os.walk(package, followlinks=True)
        for name in names
    }
    assert held == {name for name in expected if not unwanted.search(name)}
    assert {"fl_server_api/templates/fl_server_api/redoc.html", "fl_server_demo/data/digits.npz"} < held
    assert "fl_server_demo/bundled/fl_server_client/participant.py" in held


def test_an_installed_server_serves_pages_and_static_files_and_keeps_its_data_in_the_users_folder(
    command: Path, tmp_path: Path
) -> None:
    with serving(command, tmp_path) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        for path in (
            "/admin/login/",
            "/api/schema/redoc/",
            "/static/fl_server_api/face.css",
            "/static/admin/css/base.css",
        ):
            assert (path, client.get(path).status_code) == (path, 200)
    data = tmp_path / ".local/share/fl-server"
    assert {"db.sqlite3", "secret_key"} < {path.name for path in data.iterdir()}


def test_what_runs_is_the_wheels_and_not_the_repositorys(command: Path, tmp_path: Path) -> None:
    script = (
        "from importlib.util import find_spec as f; print(f('fl_server').origin, f('fl_server_client'), f('sklearn'))"
    )
    python = command.with_name("python")
    done = subprocess.run(
        [str(python), "-c", script], cwd=tmp_path, env=variables(tmp_path), capture_output=True, text=True, check=True
    )
    origin, client, sklearn = done.stdout.split()
    assert Path(origin).is_relative_to(command.parent.parent)
    assert (client, sklearn) == ("None", "None")


def test_an_installed_server_checks_its_settings_and_finds_the_users_file(command: Path, tmp_path: Path) -> None:
    assert run(command, tmp_path, "check").stdout.startswith("System check identified no issues")
    folder = tmp_path / ".config/fl-server"
    folder.mkdir(parents=True)
    (folder / "fl-server.toml").write_text("FL_WEB_THREDS = 4\n", encoding="utf-8")
    done = run(command, tmp_path, "check")
    assert done.returncode == 1
    assert "FL_WEB_THREDS isn't a setting. Did you mean FL_WEB_THREADS?" in done.stderr


def test_the_demo_runs_from_the_wheel_alone(command: Path, tmp_path: Path) -> None:
    done = run(command, tmp_path, "demo", "--rounds", "2", "--participants", "2", "--goal", "0.5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "reached the goal of 0.500" in " ".join(done.stdout.split())
    assert "training: round 2/2" in done.stdout
    assert list(tmp_path.glob("fl-demo-*")) == []
