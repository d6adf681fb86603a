"""The release after this one, of a service: its code with a migration and a new version of a read model."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_stack.paths import checkout

MIGRATION = '''
"""Another table, and another column of one that the release before writes to."""

from service import run_sql

revision = {number!r}
down_revision = {head!r}


def upgrade() -> None:
    run_sql("CREATE TABLE remarks (id bigint PRIMARY KEY, remark text NOT NULL)")
    run_sql("ALTER TABLE offsets ADD COLUMN remark text")
'''


class NextRelease:
    """Of rewards, in a folder of its own; a process that has `environment` runs it."""

    def __init__(self, folder: Path, head: str) -> None:
        """`head` is the newest migration of this release."""
        home = folder / "rewards"
        for part in ("src", "migrations"):
            shutil.copytree(checkout() / "services" / "rewards" / part, home / part)
        self.migration = f"{int(head) + 1:04}"
        script = home / "migrations" / "versions" / f"{self.migration}_remarks.py"
        script.write_text(MIGRATION.format(number=self.migration, head=head))
        votes = home / "src" / "rewards" / "projections" / "activity.py"
        _change(votes, '    name = "votes"\n', '    name = "votes"\n    version = 2\n')
        _change(
            votes, 'sa.Column("like", sa.Boolean, ', 'sa.Column("weight", sa.Integer), sa.Column("like", sa.Boolean, '
        )
        _change(votes, "like=vote.like)", "like=vote.like, weight=1)")
        self.environment = {"PYTHONPATH": str(home / "src")}


def _change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{path.name}: expected {old!r} once, found it {text.count(old)} times")
    path.write_text(text.replace(old, new))
