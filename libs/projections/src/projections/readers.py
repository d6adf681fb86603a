"""Who reads the rows: roles that change nothing, and see a row about somebody only where they may see whom.

The tables belong to the role that feeds them; it sees all rows, and so do a rebuild, an audit and an erasure. The roles
in the table `readers` may select. Of the tables in `Projection.whose` PostgreSQL itself shows them the rows of those
whom their session may see, whatever the query asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from projections.columns import quote

NOBODY: Sequence[str] = ()
"""Whom a session sees until it is told otherwise; None stands for everybody."""


async def see(conn: asyncpg.Connection, subjects: Sequence[str] | None) -> None:
    """From now on the session sees the rows of `subjects` and nobody else's; None: everybody's."""
    await conn.execute(
        """SELECT set_config('annals.subjects', $1::text[]::text, false),
                  set_config('annals.everybody', $2::boolean::text, false)""",
        list(subjects or NOBODY),
        subjects is None,
    )


def read_by(role: str) -> str:
    """SQL by which `role` may read all read models that are made from now on; run it after `install_sql()`."""
    name = role.replace("'", "''")
    return f"INSERT INTO readers (role) VALUES ('{name}') ON CONFLICT DO NOTHING;"  # noqa: S608 - quoted


async def admit(conn: asyncpg.Connection, schema: str) -> None:
    """Let the readers select from the tables of a schema."""
    for record in await conn.fetch("SELECT role FROM readers"):
        place, role = quote(schema), quote(record["role"])
        await conn.execute(
            f"GRANT USAGE ON SCHEMA {place} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {place} TO {role}"
        )


def policy_sql(schema: str, table: str, columns: Sequence[str]) -> str:
    """The SQL by which readers see of a table the rows of those whom they may see; each column names whose a row is.

    The settings are asked once a query: a sub-select is no part of what is computed for each row.
    """
    place = f"{quote(schema)}.{quote(table)}"
    subjects = "((SELECT nullif(current_setting('annals.subjects', true), ''))::text[])"
    named = "\n            ".join(f"OR {quote(column)} = ANY {subjects}" for column in columns)
    return f"""ALTER TABLE {place} ENABLE ROW LEVEL SECURITY;
        CREATE POLICY whose ON {place} FOR SELECT USING (
            (SELECT current_setting('annals.everybody', true) = 'true')
            {named})"""
