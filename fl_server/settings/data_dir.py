"""The data folder, and random tokens that are made in it once: the secret key when none is given."""

import os
import secrets
from pathlib import Path
from tempfile import NamedTemporaryFile

import platformdirs

TOKEN_BYTES = 50
ROOT = Path(__file__).resolve().parent.parent.parent
"""The folder of our packages: the repository, or site-packages."""


def is_checkout(root: Path = ROOT) -> bool:
    """Does this run from the repository? Otherwise the package was installed."""
    return (root / "manage.py").is_file() and (root / "pyproject.toml").is_file()


def default_data_dir(root: Path = ROOT) -> Path:
    """``var`` in the repository; where the package was installed, the folder for such data in the user's home."""
    return root / "var" if is_checkout(root) else platformdirs.user_data_path("fl-server", appauthor=False)


def make_data_dir(data_dir: Path) -> str | None:
    """Make the folder and its ``tmp``, for the owner's eyes only; returns what went wrong, if anything did."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "tmp").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        return f"The data folder {data_dir} cannot be made: {error.strerror}."
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        return f"The data folder {data_dir} is not writable."
    return None


def read_or_make_token(path: Path) -> str:
    """The random token that `path` holds; made now, once, if there is no such file.

    Two processes may start at the same time: the file appears complete or not at all, and the first one wins. Where it
    cannot be written, the token lives as long as the process (a system check refuses such a folder).
    """
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        token = secrets.token_urlsafe(TOKEN_BYTES)
    except OSError:
        return secrets.token_urlsafe(TOKEN_BYTES)
    try:
        # A temporary file has mode 0600 from its first moment on; a link never replaces an existing name.
        with NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as temporary:
            temporary.write(token)
            temporary.flush()
            os.fsync(temporary.fileno())
            os.link(temporary.name, path)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return token
    return token
