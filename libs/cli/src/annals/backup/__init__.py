"""Backups of a PostgreSQL server: a base now and then, its log all the time, restored to any moment between.

PostgreSQL's own programs do the work (pg_basebackup, pg_receivewal); here is what they leave open: encryption, where
things are kept and for how long, and the proof that a restored server holds logs that are what was sealed.
"""

from annals.backup.errors import BackupError
from annals.backup.restoring import Restored, restore
from annals.backup.server import Server
from annals.backup.settings import BackupSettings
from annals.backup.store import Base, Store
from annals.backup.taking import take
from annals.backup.verifying import Verified, verify, verify_restored
from annals.backup.worker import run

__all__ = [
    "BackupError", "BackupSettings", "Base", "Restored", "Server", "Store", "Verified", "restore", "run", "take",
    "verify", "verify_restored",
]  # fmt: skip
