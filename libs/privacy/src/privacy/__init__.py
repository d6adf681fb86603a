"""Personal data in an append-only log: sealed under a key of its subject, and erased with that key."""

from privacy.erasures import Erasures, Report, SubjectOf
from privacy.errors import BrokenBox, ErasedSubject, KekError, PrivacyError
from privacy.keks import Kek, Keks, LocalKek
from privacy.keys import KeyStore, install_sql
from privacy.values import FieldName, Personal, Sealed, SubjectId
from privacy.vault import Vault

__all__ = [
    "BrokenBox",
    "ErasedSubject",
    "Erasures",
    "FieldName",
    "Kek",
    "KekError",
    "Keks",
    "KeyStore",
    "LocalKek",
    "Personal",
    "PrivacyError",
    "Report",
    "Sealed",
    "SubjectId",
    "SubjectOf",
    "Vault",
    "install_sql",
]
