"""The site: it builds without a warning, its links lead somewhere, it says what the code says, and works offline."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest

from docs.generator.pages import faults
from docs.generator.refusals import GAP, all_texts
from fl_server.settings.config_file import setting_names
from fl_server_api.operations import OPERATIONS, TAGS
from fl_server_command.overview import OURS
from tests.documents import REPOSITORY
from tests.e2e.browser import chromium

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]
DOCS = REPOSITORY / "docs"
PHONE = {"width": 390, "height": 844}


def built(folder: Path, *source: Path) -> subprocess.CompletedProcess[str]:
    """As `make docs` builds it, in a process of its own: the warnings of others aren't ours."""
    command = [sys.executable, "-m", "docs.generator.build", *map(str, (folder, *source))]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    done = built(folder)
    assert done.returncode == 0, done.stderr
    return folder


def words_of(page: Path) -> str:
    """A page's text, without its tags."""
    return unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def test_every_setting_command_and_call_has_its_place(site: Path) -> None:
    settings, commands = words_of(site / "reference/settings.html"), words_of(site / "reference/commands.html")
    assert [name for name in setting_names() if name not in settings] == []
    assert [name for name in OURS if f"fl-server {name}" not in commands] == []
    calls = "".join(words_of(page) for page in (site / "reference/api").glob("*.html"))
    names = [name for verbs in OPERATIONS.values() for name in verbs.values()]
    assert [name for name in names if f"({name})" not in calls] == []
    assert {tag["name"] for tag in TAGS} <= {page.stem for page in (site / "reference/api").glob("*.html")}


def test_types_and_bounds_of_settings_are_those_of_the_code(site: Path) -> None:
    rows = re.findall(r"<tr.*?</tr>", (site / "reference/settings.html").read_text(encoding="utf-8"), re.DOTALL)
    cells = {row[0]: row[1:] for row in ([" ".join(re.sub(r"<[^>]+>", " ", one).split()).split() for one in rows])}
    assert " ".join(cells["FL_KEEP_VERSIONS"]) == "whole number, at least 2 10"
    assert " ".join(cells["FL_SANDBOX_TIMEOUT_SECONDS"]) == "seconds, at least 0.1 30"
    assert " ".join(cells["FL_NOTIFICATION_PORTS"]) == "list of ports not set"


def test_every_command_of_the_client_is_there_with_its_options(site: Path) -> None:
    text = words_of(site / "reference/client-commands.html")
    for wanted in ("fl login", "fl train create", "fl model push", "fl participant run", "--input-shape", "--endpoint"):
        assert wanted in text


def test_links_to_pages_read_as_titles(site: Path) -> None:
    named = [
        (page.name, name)
        for page in site.rglob("*.html")
        for name in re.findall(r"<a [^>]*>(?:<span[^>]*>)?([\w./-]+\.md)<", page.read_text(encoding="utf-8"))
    ]
    assert named == []


def test_every_quoted_sentence_of_the_troubleshooting_is_in_the_code() -> None:
    text = (DOCS / "how-to/troubleshooting.md").read_text(encoding="utf-8")
    symptoms = [line for line in text.splitlines() if line.startswith("| ") and "you see" not in line]
    quoted = [sentence for line in symptoms for sentence in re.findall(r'"([^"]+)"', line.split(" | ")[0])]
    code = all_texts()
    lost = [one for one in quoted if not any(one.strip(f"{GAP} .") in text for text in code)]
    assert len(symptoms) >= 20
    assert lost == []


def test_a_page_in_no_toctree_and_a_link_to_nowhere_stop_the_build(tmp_path: Path) -> None:
    source = tmp_path / "docs"
    source.mkdir()
    (source / "index.md").write_text("# Start\n\n[gone](gone.md)\n", encoding="utf-8")
    (source / "lost.md").write_text("# Lost\n", encoding="utf-8")
    done = built(tmp_path / "site", source)
    assert done.returncode != 0
    assert "index.md:3: WARNING: 'myst' cross-reference target not found" in done.stderr
    assert "lost.md: WARNING: document isn't included in any toctree" in done.stderr


def test_a_broken_anchor_and_a_picture_of_another_host_or_without_a_description_are_faults(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#here">x</a><a href="b.html#gone">x</a>', encoding="utf-8")
    (tmp_path / "b.html").write_text(
        '<p id="here"><img src="https://example.org/x.png" alt="x"><img src="a.html">', encoding="utf-8"
    )
    assert faults(tmp_path) == [
        "a.html links to b.html#gone, which has no such heading.",
        "b.html loads https://example.org/x.png from another host.",
        "b.html shows a.html without a description (alt).",
    ]


def test_a_folder_is_enough_to_read_and_search_it_on_a_desk_and_a_telephone_in_both_themes(site: Path) -> None:
    asked: list[str] = []
    with chromium() as browser:
        colours = []
        for theme in ("light", "dark"):
            context = browser.new_context(viewport=PHONE, color_scheme=theme)  # type: ignore[arg-type]
            page = context.new_page()
            page.on("request", lambda request: asked.append(request.url))
            for name in ("index", "tutorials/first-federation", "reference/settings", "explanation/overview"):
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.goto(f"{(site / 'search.html').as_uri()}?q=clipping_factor")
            page.wait_for_selector("#search-results li a")
            context.close()
    assert colours[0] != colours[1]
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []
