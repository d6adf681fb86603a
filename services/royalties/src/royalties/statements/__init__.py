"""Statements: what a party was owed, every line that changed it and where it comes from, what it was owed then."""

from royalties.statements.document import as_csv, as_json, fields, head
from royalties.statements.lines import Bounds, Key, Scope, batch, bounds, key_of
from royalties.statements.printed import as_pdf

__all__ = ["Bounds", "Key", "Scope", "as_csv", "as_json", "as_pdf", "batch", "bounds", "fields", "head", "key_of"]
