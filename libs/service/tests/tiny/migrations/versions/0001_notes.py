"""Notes and ticks."""

import projections
from service import grant_queries, grant_runtime, run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql("""
        CREATE TABLE events (position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data jsonb NOT NULL);
        CREATE TABLE seals (number bigint PRIMARY KEY);
        CREATE TABLE notes (
          id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key text NOT NULL UNIQUE, author text NOT NULL,
          text text NOT NULL
        );
    """)
    run_sql(projections.install_sql())
    grant_runtime("tiny")
    grant_queries("tiny", tables=("notes",))
