"""Settings from a TOML file: its keys are the names of the environment variables, which take precedence.

Nothing here raises: what is wrong with the file is kept as sentences, which a system check reports.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from fl_server.settings.data_dir import default_data_dir, is_checkout

FILE_NAME = "fl-server.toml"
EXAMPLE = Path(__file__).resolve().parent / "example.env"
"""In the repository, a link to .env.example."""
VARIABLE = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)
ENVIRONMENT_ONLY = frozenset({"DJANGO_SETTINGS_MODULE", "FL_CONFIG"})
"""They decide which settings are read, and from where."""
SECRET = re.compile(r"SECRET|PASSW|FL_REDIS_LOCATION|FL_SENTRY_DSN")
HEADER = """\
# All settings with their defaults. Save this as {name} in the data folder, or name it in the environment variable
# FL_CONFIG, and keep only what you change. Environment variables take precedence. Lists may be arrays: ["a", "b"].
# If the file holds secrets: chmod 600 {name}. Any secret can be in a file of its own: NAME_FILE = "/run/secrets/name".
"""


@dataclass(frozen=True)
class ConfigFile:
    """What was read: the values as text, as a variable would hold them."""

    path: Path | None = None
    values: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def is_exposed(self) -> bool:
        """Does it hold secrets that other users of this machine can read?"""
        if self.path is None or not any(_is_secret(name) for name in self.values):
            return False
        try:
            return bool(self.path.stat().st_mode & 0o077)
        except OSError:
            return False


def read_config_file(environ: Mapping[str, str]) -> ConfigFile:
    """Read the file that FL_CONFIG names, else the one in the data folder, else the one in the user's config folder."""
    named = environ.get("FL_CONFIG", "").strip()
    path = _expanded(named) if named else _find(environ)
    if path is None:
        return ConfigFile()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return ConfigFile(path, problems=[f"The configuration file {path} can't be read: {error.strerror}."])
    except ValueError as error:  # of UTF-8 and of TOML
        return ConfigFile(path, problems=[f"The configuration file {path} must be TOML: {error}."])
    return _read(path, table)


def merged(environ: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    """The variables, and the file's values for what isn't set in either way, as NAME or NAME_FILE.

    An empty variable counts as one that isn't set.
    """
    variables = {name: value for name, value in environ.items() if value.strip()}
    # NAME_FILE takes precedence over NAME: the file's must not over a variable.
    ours = {name: value for name, value in values.items() if _setting(name) not in variables}
    return ours | variables


def setting_names() -> list[str]:
    """All settings, in the order of the example."""
    return [name for name, _ in VARIABLE.findall(EXAMPLE.read_text(encoding="utf-8"))]


def not_a_setting(name: str, names: Sequence[str]) -> str:
    """A sentence about a name that is none of `names`, with the one that was meant, if that can be told."""
    close = difflib.get_close_matches(_setting(name.upper()), names, 1, 0.7)
    suffix = "_FILE" if name.upper().endswith("_FILE") else ""
    return f"{name} isn't a setting." + (f" Did you mean {close[0]}{suffix}?" if close else "")


def example_toml() -> str:
    """A file with all settings, each with its explanation and its default, and all of them commented out."""
    _, _, body = EXAMPLE.read_text(encoding="utf-8").partition("\n\n")
    shown, explanation = [HEADER.format(name=FILE_NAME)], list[str]()
    for line in body.splitlines():
        found = VARIABLE.match(line)
        if found is None:
            explanation.append(line)
            continue
        if found[1] not in ENVIRONMENT_ONLY:
            shown += [*explanation, f"#{found[1]} = {_toml(found[2])}"]
        explanation.clear()
    return "\n".join(shown) + "\n"


def _find(environ: Mapping[str, str]) -> Path | None:
    data_dir = environ.get("FL_DATA_DIR", "").strip()
    folders = [_expanded(data_dir) if data_dir else default_data_dir()]
    if not is_checkout():  # a developer's tests and trials don't depend on what the same person runs elsewhere
        folders.append(platformdirs.user_config_path("fl-server", appauthor=False))
    for folder in folders:
        try:
            if (folder / FILE_NAME).exists():
                return folder / FILE_NAME
        except OSError:  # the check of the data folder says so
            continue
    return None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # the home of a user that doesn't exist
        return Path(text)


def _read(path: Path, table: Mapping[str, Any]) -> ConfigFile:
    names, file = setting_names(), ConfigFile(path)
    for name, value in table.items():
        text = _as_text(value)
        if name in ENVIRONMENT_ONLY:
            file.problems.append(f"{name} can't be set in {path}: set the environment variable.")
        elif _setting(name) not in names:
            file.problems.append(f"{path}: {not_a_setting(name, names)}")
        elif text is None:
            file.problems.append(f"{path}: {name} must be a text, a number, true, false, or a list of texts.")
        else:
            file.values[name] = text
    return file


def _as_text(value: object) -> str | None:
    """As an environment variable would hold it; None for what it can't hold."""
    match value:
        case str() | int() | float():  # and bool: True and False are as good as true and false
            return str(value)
        case list() if all(isinstance(item, str | int | float) and not isinstance(item, bool) for item in value):
            return "\n".join(str(item) for item in value)
    return None


def _setting(name: str) -> str:
    return name.removesuffix("_FILE")


def _is_secret(name: str) -> bool:
    return not name.endswith("_FILE") and bool(SECRET.search(name))


def _toml(value: str) -> str:
    plain = value in ("true", "false") or re.fullmatch(r"\d+(\.\d+)?", value)
    return value if plain else json.dumps(value, ensure_ascii=False)
