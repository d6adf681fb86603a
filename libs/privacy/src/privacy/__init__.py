"""Personal data in an append-only log: sealed under a key of its subject, and erased with that key."""

from privacy.erasure import EVENTS, ErasureCarriedOut, SubjectErased, erasure, erasure_stream
from privacy.erasures import Cleared, Erasures
from privacy.errors import BrokenBox, ErasedSubject, KekError, PrivacyError, VaultLocked
from privacy.keks import DEVELOPMENT, Kek, Keks, LocalKek
from privacy.keys import KeyStore, install, install_sql
from privacy.letters import Letters
from privacy.months import MonthKeys
from privacy.values import FieldName, Personal, Sealed
from privacy.vault import Vault

__all__ = [
    "DEVELOPMENT",
    "EVENTS",
    "BrokenBox",
    "Cleared",
    "ErasedSubject",
    "ErasureCarriedOut",
    "Erasures",
    "FieldName",
    "Kek",
    "KekError",
    "Keks",
    "KeyStore",
    "Letters",
    "LocalKek",
    "MonthKeys",
    "Personal",
    "PrivacyError",
    "Sealed",
    "SubjectErased",
    "Vault",
    "VaultLocked",
    "erasure",
    "erasure_stream",
    "install",
    "install_sql",
]
