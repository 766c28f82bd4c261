"""Each block of the documentation is run, or parsed, or left out for a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fl_server_command.overview import OURS, other_commands
from tests.documents import REPOSITORY
from tests.site.blocks import BLOCK, DOCS, SHELL, Block, blocks_of, check, pages

pytestmark = pytest.mark.once

ALL = [block for page in pages() for block in blocks_of(page)]


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.where)
def test_its_language_is_known_and_its_syntax_right(block: Block) -> None:
    check(block)


def test_what_is_not_run_has_a_reason_and_who_runs_it_reads_the_page() -> None:
    assert len([block for block in ALL if block.is_run]) > 50
    for block in ALL:
        if block.order == "not run":
            assert len(block.about) > 15, block.where
            for test in re.findall(r"(?:tests|fl_server\w*)/[\w/]+(?:\.py)?", block.about):
                assert (REPOSITORY / test).exists(), f"{block.where}: {test}"
        if block.order == "run by":
            assert block.page.name in (REPOSITORY / block.about).read_text(encoding="utf-8"), block.where


def test_commands_and_targets_exist_also_where_they_are_not_run() -> None:
    commands, targets = {*OURS, *other_commands()}, set(_targets())
    for block in ALL:
        if block.language in (*SHELL, "ini", "text"):
            named = re.findall(r"(?:^|&& |=|\$\(|web )fl-server ([a-z_]+)\b", block.text, re.MULTILINE)
            assert [name for name in named if name not in commands] == [], block.where
        if block.language in SHELL:
            made = re.findall(r"^make ([a-z-]+)", block.text, re.MULTILINE)
            assert [name for name in made if name not in targets] == [], block.where


def _targets() -> list[str]:
    return re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```\nfl-server serve\n```\n", "a block without a language"),
        ("```cobol\nSTOP RUN.\n```\n", "nothing parses 'cobol'"),
        ("```text\n$ fl-server serve\n```\n", "commands: write ```bash"),
        ("```json\n{\n```\n", "Expecting property name"),
        ("```yaml\na: [\n```\n", "expected the node content"),
        ("```toml\nFL_WEB_THREAD = 8\n```\n", "not settings: {'FL_WEB_THREAD'}"),
        ("```bash\nif\n```\n", "syntax error"),
        ("<!-- skip: it is old -->\n```python\n1\n```\n", "unknown comments: {'skip'}"),
    ],
)
def test_a_block_that_is_neither_is_a_fault(tmp_path: Path, text: str, fault: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    (block,) = blocks_of(page)
    with pytest.raises((AssertionError, ValueError, Exception), match=re.escape(fault)):
        check(block)


def test_comments_before_a_block_are_its_orders_and_indented_blocks_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "1. Do:\n\n   <!-- before: x = 1\ny = 2 -->\n   <!-- prints: 3 -->\n   ```python\n   print(x + y)\n   ```\n",
        encoding="utf-8",
    )
    (block,) = blocks_of(page)
    assert (block.line, block.text, block.is_run) == (6, "print(x + y)\n", True)
    assert block.orders == {"before": "x = 1\ny = 2", "prints": "3"}


def test_no_page_is_missed() -> None:
    assert {DOCS / "backup.md", DOCS / "how-to/tls.md", REPOSITORY / "README.md"} <= set(pages())


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_lines_of_text_have_120_characters_at_most(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert [line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "![", "<!--"))] == []
