"""Is a backup whole, and as it was written?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fl_server.backup.folder import BackupFolder, digest_of
from fl_server.backup.manifest import Manifest, Stored


def problems_of(folder: BackupFolder, path: Path, manifest: Manifest) -> Iterator[str]:
    """Yields a sentence for each part of the backup that is missing or changed. Reads all of it."""
    pairs = [(path / manifest.database.name, manifest.database)]
    pairs += [(folder.file(file.name), file) for file in manifest.files]
    for place, file in pairs:
        problem = _problem(place, file)
        if problem:
            yield f"{place} {problem}."


def _problem(place: Path, file: Stored) -> str:
    if not place.is_file():
        return "is missing"
    size = place.stat().st_size
    if size != file.size:
        return f"has {size} bytes instead of {file.size}"
    return "" if digest_of(place) == file.sha256 else "is not as it was written: its digest is another one"
