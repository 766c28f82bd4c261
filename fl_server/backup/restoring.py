"""Restoring a backup into an empty server: all checks first, then the files, then the database."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import monotonic, sleep

from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone
from redis.exceptions import RedisError

from fl_server.backup import postgres, sqlite
from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BLOCK, BackupFolder
from fl_server.backup.making import dump_of_this_database
from fl_server.backup.manifest import Manifest, Stored, digest_of_manifest, is_of_this_key, read_manifest_and_digest
from fl_server.backup.sealing import is_sealed
from fl_server.backup.stored import store
from fl_server.backup.verifying import problems_of
from fl_server.storage.shared_files import forget_files_folder
from fl_server_core.models import AuditEntry, BackupHold, GlobalModel, Training, User
from fl_server_core.monitoring.heartbeats import LIFE_SECONDS, read_heartbeats
from fl_server_core.services.restored import go_on_after_restore

LOOK_SECONDS = 0.2
Say = Callable[[str], None]


@dataclass(frozen=True)
class Permissions:
    """What was allowed on the command line.

    replace: what is in the database. other_key: another secret key. digest: that of the manifest, as the operator has
    noted it; "": it wasn't given.
    """

    replace: bool = False
    other_key: bool = False
    digest: str = ""


@dataclass(frozen=True)
class Restored:
    """stored: files written. present: files that the storage already had. running: trainings that go on."""

    stored: int
    present: int
    running: int


def restore_backup(folder: BackupFolder, path: Path, manifest: Manifest, *, allowed: Permissions, say: Say) -> Restored:
    """Restore one backup of the folder. The server must not run.

    Raises:
        BackupError: it isn't good, or doesn't fit here. Nothing was changed then, except that files may have been
        stored, which the next attempt finds.
    """
    _refuse_what_does_not_fit(manifest, allowed)
    _refuse_forgery(path, manifest, allowed)
    is_interrupted = _is_interrupted(path, manifest)
    _refuse_server_in_use()
    if not is_interrupted:
        _refuse_full_server(allowed)
    say("Checking the digests of the backup.")
    problems = list(problems_of(folder, path, manifest))
    if problems:
        raise BackupError("The backup isn't good, so nothing was restored:\n" + "\n".join(problems))
    say(f"Storing {len(manifest.files)} files.")
    stored = sum(store(folder.file(file.name), file) for file in manifest.files)
    if not is_interrupted:
        _refuse_server_in_use()  # that was started meanwhile
        say("Restoring the database.")
        with _own_copy(path, manifest.database) as dump:
            _restore_database(dump, allowed)
    call_command("migrate", interactive=False, verbosity=0)
    running = go_on_after_restore(made_at=manifest.moment)
    forget_files_folder()
    return Restored(stored, len(manifest.files) - stored, running)


def _refuse_what_does_not_fit(manifest: Manifest, allowed: Permissions) -> None:
    here = dump_of_this_database().engine
    if manifest.engine != here:
        names = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
        hint = "Set FL_POSTGRES_HOST." if manifest.engine == "postgresql" else "Remove FL_POSTGRES_HOST."
        raise BackupError(
            f"The backup is of a server on {names.get(manifest.engine, manifest.engine)}, and this one is on "
            f"{names[here]}. It can only be restored on the same kind of database. {hint}"
        )
    loader = MigrationLoader(None)
    known = {f"{app}.{name}" for app, name in loader.disk_migrations}
    known |= {f"{app}.{name}" for migration in loader.disk_migrations.values() for app, name in migration.replaces}
    newer = [name for name in manifest.migrations if name not in known]
    if newer:
        raise BackupError(
            f"The backup's database is newer than this server (fl-server {manifest.server}; it has {newer[-1]}). "
            "Install that version, or a newer one, and restore with it."
        )
    if not is_of_this_key(manifest, [settings.SECRET_KEY]) and not allowed.other_key:
        if is_of_this_key(manifest, settings.SECRET_KEY_FALLBACKS):
            return
        raise BackupError(
            "This server has another secret key than the one that was backed up. Set FL_DJANGO_SECRET_KEY to that key "
            "(or put the file secret_key into the data folder). If it is lost, --other-secret-key (with --digest) "
            "restores all the same: everybody gets another API token and another notification secret, and has to sign "
            "in again."
        )


def _refuse_forgery(path: Path, manifest: Manifest, allowed: Permissions) -> None:
    """Who can write to the folder could have written the whole backup, with digests that fit."""
    found, digest = read_manifest_and_digest(path)
    if found != manifest:
        raise BackupError(f"{path} was changed while it was looked at. Who else writes there?")
    if allowed.digest and allowed.digest.strip().lower() != digest:
        raise BackupError(
            f"The backup isn't the one that you named: the digest of its manifest is {digest}. Nothing was restored."
        )
    if allowed.digest or is_sealed(path, digest, [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]):
        return
    raise BackupError(
        "Nothing shows that this server wrote the backup: it isn't sealed by this server's secret key. To restore a "
        "backup runs what is in it, so do it only if you know who wrote it: with --digest, and the digest of its "
        "manifest that `fl-server backup` printed. (If only you can write to the folder, sha256sum manifest.json says "
        "it, too.)"
    )


@contextlib.contextmanager
def _own_copy(path: Path, database: Stored) -> Iterator[Path]:
    """What is restored is what was looked at: nobody else can write to this copy."""
    total = hashlib.sha256()
    with NamedTemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as copy, (path / database.name).open("rb") as source:
        while block := source.read(BLOCK):
            total.update(block)
            copy.write(block)
        copy.flush()
        if total.hexdigest() != database.sha256:
            raise BackupError(f"{path / database.name} was changed while it was restored. Who else writes there?")
        yield Path(copy.name)


def _refuse_server_in_use() -> None:
    _refuse_living_processes()
    if connection.vendor == "postgresql":
        postgres.check_programs("psql")
        others = postgres.other_connections()
        if others:
            raise BackupError(
                f"The database is in use ({others} other connections). Stop the server, its workers and beat first."
            )


def _refuse_living_processes() -> None:
    """A worker or beat that has nothing to do has no connection to the database, but a heartbeat in Redis."""
    deadline = monotonic() + LIFE_SECONDS + 1  # one that was killed is believed to live for so long
    while living := _living_processes():
        if monotonic() > deadline:
            raise BackupError(f"The server runs: {', '.join(living)}. Stop its web processes, workers and beat first.")
        sleep(LOOK_SECONDS)


def _living_processes() -> list[str]:
    try:
        return [] if settings.FL_EMBEDDED else [beat.name for beat in read_heartbeats() if beat.is_alive]
    except RedisError:  # whoever runs without it will be found by its connection
        return []


def _is_interrupted(path: Path, manifest: Manifest) -> bool:
    """Did an earlier restore of this backup already restore the database?

    The backup's own hold is still in it then. The trail of the server that was backed up says that the backup was
    made: this database is not the one.
    """
    if not manifest.hold or BackupHold._meta.db_table not in connection.introspection.table_names():
        return False
    made = AuditEntry.objects.filter(verb="backup", details__manifest=digest_of_manifest(path))
    return BackupHold.objects.filter(pk=manifest.hold).exists() and not made.exists()


def _refuse_full_server(allowed: Permissions) -> None:
    """An empty one has no accounts, models and trainings. It may have been started before."""
    tables = set(connection.introspection.table_names())
    models = {"accounts": User, "models": GlobalModel, "trainings": Training}
    try:
        found = {word: model._base_manager.count() for word, model in models.items() if model._meta.db_table in tables}
    except DatabaseError as error:
        found = {f"rows that can't be read ({error})": 1}
    full = [f"{word} ({number})" for word, number in found.items() if number]
    if full and not allowed.replace:
        raise BackupError(
            f"This server isn't empty: it has {', '.join(full)}. Restore into a new one (another FL_DATA_DIR, or "
            "another database). --force replaces what is in this database: it is lost then, and nothing is merged."
        )


def _restore_database(path: Path, allowed: Permissions) -> None:
    if connection.vendor == "postgresql":
        postgres.restore(path)
        return
    moment = timezone.now().strftime("%Y-%m-%dT%H%M%SZ")
    name = Path(connection.settings_dict["NAME"]).name
    sqlite.restore(path, keep=f"{name}.before-{moment}" if allowed.replace else None)
