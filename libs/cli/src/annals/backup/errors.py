"""What goes wrong with backups, in a sentence."""


class BackupError(Exception):
    """The message names the backup, file or program, what was expected and what was found."""
