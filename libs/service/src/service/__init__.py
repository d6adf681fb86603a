"""What every service's `app.py` needs: settings, logs, metrics, health, tokens, problems, migrations, one process."""

from service.access import known_as, may_act_for, may_see, require, seeing_all, sees, shown
from service.auth import Caller, CurrentCaller, Verifier, caller
from service.bodies import Strict
from service.commands import Commands, Recorded, metadata_of
from service.consistency import After, Token, await_position
from service.database import connect_pool, is_not_made, is_transient
from service.etags import Tagged
from service.grants import grant_queries, grant_runtime
from service.health import Check
from service.idempotency import IdempotencyKey
from service.kafka import kafka_check
from service.logs import configure_logs, get_logger
from service.main import main, run
from service.migrations import find_migrations, migrate, run_env, run_sql
from service.paging import Page, PageRequest, Paging
from service.personal import PersonalData
from service.problems import Problem
from service.process import Service
from service.queries import Queries, connect_queries, not_found
from service.refusals import unnamed
from service.routing import Router
from service.settings import ServiceSettings, WrongSetting, env_example
from service.streams import EventStream, LastEventId, StreamEvent, followed, grown
from service.trace import current_traceparent
from service.wallets import WalletOwners, may_see_named, sees_named, sees_own
from service.web import create_api
from service.workers import Worker

__all__ = [
    "After",
    "Caller",
    "Check",
    "Commands",
    "CurrentCaller",
    "EventStream",
    "IdempotencyKey",
    "LastEventId",
    "Page",
    "PageRequest",
    "Paging",
    "PersonalData",
    "Problem",
    "Queries",
    "Recorded",
    "Router",
    "Service",
    "ServiceSettings",
    "StreamEvent",
    "Strict",
    "Tagged",
    "Token",
    "Verifier",
    "WalletOwners",
    "Worker",
    "WrongSetting",
    "await_position",
    "caller",
    "configure_logs",
    "connect_pool",
    "connect_queries",
    "create_api",
    "current_traceparent",
    "env_example",
    "find_migrations",
    "followed",
    "get_logger",
    "grant_queries",
    "grant_runtime",
    "grown",
    "is_not_made",
    "is_transient",
    "kafka_check",
    "known_as",
    "main",
    "may_act_for",
    "may_see",
    "may_see_named",
    "metadata_of",
    "migrate",
    "not_found",
    "require",
    "run",
    "run_env",
    "run_sql",
    "seeing_all",
    "sees",
    "sees_named",
    "sees_own",
    "shown",
    "unnamed",
]
