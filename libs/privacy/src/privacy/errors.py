"""What can go wrong with personal data. No message holds a value or a key."""

from __future__ import annotations


class PrivacyError(Exception):
    """Base of this library's errors."""


class ErasedSubject(PrivacyError):
    """Something was to be sealed for a subject that was erased: it never gets a key again."""


class VaultLocked(PrivacyError):
    """Not all erasures of the log have been carried out in this key store yet: it may be a restored one."""

    retriable = True


class BrokenBox(PrivacyError):
    """A sealed value was changed, or belongs to another subject or field."""


class KekError(PrivacyError):
    """A key-encryption key is missing, malformed, or does not open what it should."""
