"""`manage.py backup`: the database and its files, copied while the server runs."""

import os
from argparse import RawDescriptionHelpFormatter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder
from fl_server.backup.making import Made, make_backup
from fl_server.backup.manifest import Manifest, digest_of_manifest, is_of_this_key, read_manifest
from fl_server.backup.pruning import prune_backups
from fl_server.backup.sealing import is_sealed
from fl_server.backup.verifying import problems_of
from fl_server_core.storage import StorageUnavailable

USAGE = """\
fl-server backup FOLDER            add a backup to the folder, which is made if need be
fl-server backup FOLDER --keep 7   then remove all but the newest seven
fl-server backup verify FOLDER     check the newest backup in it (or --name NAME, or --all) by its digests
fl-server backup prune FOLDER --keep 7   make no backup, and remove all but the newest seven

docs/backup.md says what is in it, and what to keep beside it: the secret key."""


class Command(BaseCommand):
    """Backs up the database and the files that it names (docs/backup.md)."""

    help = USAGE

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=_Formatter, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        """`FOLDER`, `verify FOLDER` or `prune FOLDER`."""
        parser.add_argument("words", nargs="+", metavar="[verify|prune] FOLDER", help="where the backups are")
        parser.add_argument("--keep", type=int, default=0, help="keep so many backups, the newest; 0: all")
        parser.add_argument("--name", default=None, help="verify: this backup instead of the newest")
        parser.add_argument("--all", action="store_true", help="verify: all backups of the folder")

    def handle(self, *, words: list[str], keep: int, name: str | None, **options: Any) -> None:
        """Make a backup, verify one, or remove old ones."""
        os.umask(0o077)
        *verb, path = words
        if verb not in ([], ["verify"], ["prune"]):
            raise CommandError(f"Say `fl-server backup FOLDER`, `… verify FOLDER` or `… prune FOLDER`, not {words}.")
        if keep < 0:
            raise CommandError("--keep must be 0 or more.")
        if verb == ["prune"] and not keep:
            raise CommandError("Say how many backups to keep: --keep 7.")
        folder = BackupFolder(Path(path).expanduser().absolute())
        try:
            if verb == ["prune"]:
                folder.find(None)
                self._prune(folder, keep)
            elif verb:
                self._verify(folder, name, everything=options["all"])
            else:
                self._make(folder, keep)
        except (BackupError, OSError, DatabaseError) as error:
            raise CommandError(_sentence(error)) from error

    def _make(self, folder: BackupFolder, keep: int) -> None:
        made = make_backup(folder, warn=self._warn)
        self.stdout.write(f"{folder.backups / made.name}: {described(made.manifest)}. {_copied(made)}")
        self.stdout.write(f"Digest of its manifest: {made.digest}")
        self._warn_of_losses(made.manifest)
        if keep:
            self._prune(folder, keep)

    def _prune(self, folder: BackupFolder, keep: int) -> None:
        backups, files = prune_backups(folder, keep=keep)
        if backups or files:
            self.stdout.write(f"Removed {_number(backups, 'older backup')} and {_number(files, 'file')}.")

    def _verify(self, folder: BackupFolder, name: str | None, *, everything: bool) -> None:
        paths = [folder.backups / one for one in folder.names()] if everything else [folder.find(name)]
        with folder.reading():
            for path in paths:
                manifest = read_manifest(path)
                problems = [*_forgery(path, manifest), *problems_of(folder, path, manifest)]
                if problems:
                    raise CommandError("\n".join([f"{path} isn't good:", *problems]))
                self.stdout.write(f"{path} is good: {described(manifest)}.")
                self._warn_of_losses(manifest)

    def _warn_of_losses(self, manifest: Manifest) -> None:
        for word, names in (("does not have", manifest.lost), ("has damaged", manifest.damaged)):
            if names:
                more = ", …" if len(names) > 3 else ""
                self._warn(f"The server itself {word} {_number(len(names), 'file')}: {', '.join(names[:3])}{more}")

    def _warn(self, sentence: str) -> None:
        self.stderr.write(self.style.WARNING(sentence))


class _Formatter(RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


def _forgery(path: Path, manifest: Manifest) -> Iterator[str]:
    """Where this is the key of the server that was backed up, it can tell whether that server wrote the backup."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    if is_of_this_key(manifest, keys) and not is_sealed(path, digest_of_manifest(path), keys):
        yield f"{path} isn't sealed by this server's secret key: somebody else may have written it."


def described(manifest: Manifest) -> str:
    """A backup in a few words."""
    counts = ", ".join(_number(number, word.removesuffix("s")) for word, number in manifest.counts.items())
    size = f"{manifest.size / 1e6:.1f} MB"
    return f"{manifest.engine} of fl-server {manifest.server}, {counts}, {_number(len(manifest.files), 'file')}, {size}"


def _copied(made: Made) -> str:
    return f"Copied {_number(made.copied, 'new file')} ({made.copied_bytes / 1e6:.1f} MB)."


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _sentence(error: Exception) -> str:
    if isinstance(error, DatabaseError):
        return f"The database can't be used: {error}"
    if isinstance(error, StorageUnavailable):
        return f"A file can't be fetched from the storage: {error}. Make the backup again; what was copied is kept."
    return str(error)
