"""Personal data in an append-only log: sealed under a key of its subject, and erased with that key."""

from privacy.copies import Copies, Copy, open_with, seal_for
from privacy.erasure import EVENTS as _ERASURE
from privacy.erasure import ErasureCarriedOut, SubjectErased, erasure, erasure_stream
from privacy.erasures import Cleared, Erasures
from privacy.errors import BrokenBox, ErasedSubject, KekError, PrivacyError, VaultLocked
from privacy.export import EVENTS as _EXPORT
from privacy.export import ExportAsked, ExportGathered, export, export_stream
from privacy.exports import Exports
from privacy.gathering import told
from privacy.keks import DEVELOPMENT, Kek, Keks, LocalKek
from privacy.keys import KeyStore, install, install_sql
from privacy.letters import Letters
from privacy.months import MonthKeys
from privacy.orders import Orders
from privacy.tokens import Tokens
from privacy.values import FieldName, Personal, Sealed
from privacy.vault import Vault
from privacy.wallets import WALLETS

EVENTS: dict[str, type] = {**_ERASURE, **_EXPORT}
"""Every service that may hold personal data has these among its own."""

__all__ = [
    "DEVELOPMENT",
    "EVENTS",
    "WALLETS",
    "BrokenBox",
    "Cleared",
    "Copies",
    "Copy",
    "ErasedSubject",
    "ErasureCarriedOut",
    "Erasures",
    "ExportAsked",
    "ExportGathered",
    "Exports",
    "FieldName",
    "Kek",
    "KekError",
    "Keks",
    "KeyStore",
    "Letters",
    "LocalKek",
    "MonthKeys",
    "Orders",
    "Personal",
    "PrivacyError",
    "Sealed",
    "SubjectErased",
    "Tokens",
    "Vault",
    "VaultLocked",
    "erasure",
    "erasure_stream",
    "export",
    "export_stream",
    "install",
    "install_sql",
    "open_with",
    "seal_for",
    "told",
]
