"""What the roles of a service may do in its database: said in its first migration, by the database's owner."""

from __future__ import annotations

from collections.abc import Sequence

from projections import read_by
from service.database import query_role
from service.migrations import run_sql


def grant_runtime(role: str, *, append_only: Sequence[str] = ("events", "seals"), create_schemas: bool = True) -> None:
    """In the first migration: what the service's runtime role may do in schema public.

    It may append to the tables `append_only` and never change them, read `alembic_version`, and read and write all
    other tables, also those of later migrations; with `create_schemas` it may make schemas of its own, in which
    projections are rebuilt. The role is created (without login) if it isn't there and the owner may create roles.
    Nothing is granted when the owner itself is the runtime role.
    """
    run_sql(_grant_sql(role, tuple(append_only), create_schemas))


def grant_queries(service: str, *, tables: Sequence[str] = ()) -> None:
    """In the first migration, after `grant_runtime`: what the role that queries run as may do, `<service>_query`.

    It reads the read models that the runtime role makes, as far as `projections` shows it their rows, and `tables` of
    schema public. The role is created (without login) if it isn't there and the owner may create roles; the runtime
    role may then take it, for where queries have no login of their own.
    """
    run_sql(_queries_sql(service, query_role(service), tables))


def _queries_sql(service: str, role: str, tables: Sequence[str]) -> str:
    name, runtime = _identifier(role), _identifier(service)
    selects = "".join(f"GRANT SELECT ON public.{_identifier(table)} TO {name};" for table in tables)
    return f"""
DO $annals$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(role)}) THEN
    {_create_sql(name)}
    GRANT {name} TO {runtime};
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO {name}', current_database());
  {selects}
END
$annals$;
{read_by(role)}
"""


def _create_sql(name: str) -> str:
    return f"""
    BEGIN
      CREATE ROLE {name} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- made meanwhile by the migration of another database
    END;"""


def _grant_sql(role: str, append_only: tuple[str, ...], create_schemas: bool) -> str:
    name = _identifier(role)
    tables = ", ".join(f"public.{_identifier(table)}" for table in append_only)
    limits = f"EXECUTE $q$REVOKE UPDATE, DELETE, TRUNCATE ON {tables} FROM {name}$q$;" if tables else ""
    schemas = f"EXECUTE format('GRANT CREATE ON DATABASE %I TO {name}', current_database());" if create_schemas else ""
    # Names are checked by _identifier; DO takes no parameters.
    return f"""
DO $annals$
BEGIN
  IF current_user = {_literal(role)} THEN
    RETURN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {_literal(role)}) THEN
    {_create_sql(name)}
  END IF;
  GRANT USAGE ON SCHEMA public TO {name};
  GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {name};
  GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {name};
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name};
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {name};
  REVOKE INSERT, UPDATE, DELETE ON public.alembic_version FROM {name};
  {limits}
  {schemas}
END
$annals$;
"""  # noqa: S608


def _identifier(name: str) -> str:
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise ValueError(f"name: expected ASCII letters, digits and _, got {name!r}")
    return f'"{name}"'


def _literal(text: str) -> str:
    return f"'{_identifier(text)[1:-1]}'"
