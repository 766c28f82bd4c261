"""What the build of the image says and asks for. tests/image runs what it makes."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server_process import REPOSITORY

FOLDER = REPOSITORY / "deploy" / "image"

pytestmark = pytest.mark.once


def install_dependencies(where: Path, torch: str, **more: str) -> subprocess.CompletedProcess[str]:
    """As in the build, but with no index and no folder of packages."""
    return subprocess.run(
        ["sh", str(FOLDER / "dependencies"), str(where)],
        env={"PATH": os.environ["PATH"], "TORCH": torch} | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere, the public index has a CPU build")
def test_a_cpu_build_without_an_index_that_has_one_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    done = install_dependencies(tmp_path / "environment", "cpu")
    assert done.returncode == 1
    assert "PyTorch with CUDA only" in done.stderr
    assert "--build-arg PIP_EXTRA_INDEX_URL=<address>" in done.stderr
    assert "--build-arg TORCH=cuda" in done.stderr
    assert not (tmp_path / "environment").exists()


def test_an_unknown_build_of_torch_is_refused(tmp_path: Path) -> None:
    done = install_dependencies(tmp_path / "environment", "rocm")
    assert (done.returncode, done.stderr) == (1, "TORCH must be cpu or cuda, not 'rocm'.\n")


def pip_that_installs(folder: Path, cuda: str) -> str:
    """A program that writes down its arguments, and puts a build of torch for this CUDA into the environment."""
    program = folder / "pip"
    program.write_text(
        f"""#!/bin/sh
        echo "$@" > {folder}/arguments
        packages=$("$2" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
        mkdir -p "$packages/torch/include" "$packages/torch/bin"
        echo "cuda: Optional[str] = {cuda}" > "$packages/torch/version.py"
        """
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("torch", "cuda", "refusal"),
    [("cuda", "'12.8'", ""), ("cpu", "None", ""), ("cpu", "'12.8'", "This is not a CPU build of PyTorch.")],
)
def test_the_build_of_torch_that_is_asked_for_is_the_one_that_is_kept(
    torch: str, cuda: str, refusal: str, tmp_path: Path
) -> None:
    where = tmp_path / "environment"
    index = {"PIP_EXTRA_INDEX_URL": "https://packages.example.org/"}  # with TORCH=cuda, none is needed
    more = {"PIP": pip_that_installs(tmp_path, cuda)} | (index if torch == "cpu" else {})
    done = install_dependencies(where, torch, **more)
    words = (tmp_path / "arguments").read_text().split()
    assert words[:3] == ["--python", f"{where}/bin/python3", "install"]
    assert {"/build/constraints.txt", "/build/requirements.txt", ":all:"} <= set(words)
    assert (done.returncode != 0) is bool(refusal), done.stderr
    assert refusal in done.stderr
    headers = list(where.glob("lib/*/site-packages/torch/include"))
    assert bool(headers) is bool(refusal)


def test_the_image_gets_the_dependencies_and_the_extras_and_no_tool_of_development() -> None:
    words = [sys.executable, str(FOLDER / "requirements.py"), "oidc", "s3"]
    listed = subprocess.run(words, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    names = {re.split(r"[\[<>=]", line)[0] for line in listed.splitlines()}
    assert {"django", "torch", "django-storages", "mozilla-django-oidc"} <= names
    assert not {"pytest", "ruff", "tensorboardX"} & names


def test_the_tools_of_the_build_have_exact_versions_that_agree_with_the_others() -> None:
    exact = re.compile(r"^([\w.-]+)==(\S+)$", re.MULTILINE)
    tools = dict(exact.findall((FOLDER / "tools.txt").read_text(encoding="utf-8")))
    others = dict(exact.findall((REPOSITORY / "constraints.txt").read_text(encoding="utf-8")))
    assert {"cyclonedx-bom", "setuptools"} <= tools.keys()
    assert {name: version for name, version in tools.items() if others.get(name, version) != version} == {}


def test_no_file_of_the_deployment_names_an_index_of_packages() -> None:
    files = [REPOSITORY / "Dockerfile", REPOSITORY / "docker-compose.yml", *(REPOSITORY / "deploy").rglob("*")]
    hosts = re.compile(r"https?://[\w.-]*(pypi|pytorch|pythonhosted)", re.IGNORECASE)
    named = [str(path) for path in files if path.is_file() and hosts.search(path.read_text(encoding="utf-8"))]
    assert named == []
