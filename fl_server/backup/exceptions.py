"""Why a backup or a restore does not go on. Each message says what to do."""


class BackupError(Exception):
    """A backup can't be made, isn't good, or can't be restored here."""
