"""Records of the system before this one: read.py reads them, bring_in.py puts them on record."""

from compliance.legacy.bring_in import BroughtIn, bring_in

__all__ = ["BroughtIn", "bring_in"]
