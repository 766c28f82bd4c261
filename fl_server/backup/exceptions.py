"""Why a backup or a restore was given up. Each message says what to do."""


class BackupError(Exception):
    """A backup can't be made, isn't good, or can't be restored here."""
