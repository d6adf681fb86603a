"""Keyset pages: `WHERE (a, b) > (:a, :b) ORDER BY a, b LIMIT n`, so that page 10,000 costs what page 1 does."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from service.problems import Problem

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
_MAX_CURSOR = 1024

T = TypeVar("T")


class Page(BaseModel, Generic[T]):
    """One page and the cursor of the next; a null cursor means that there is none."""

    items: list[T]
    next: str | None = Field(None, description="Pass as `cursor` for the next page.")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What the caller asked for: how many items, after which."""

    limit: int
    cursor: str | None = None

    def after(self, *types: Any) -> tuple[Any, ...] | None:
        """The key of the last item seen, as values of `types` (`int, str`); None for the first page.

        Raises Problem 400 for a cursor that this query didn't make.
        """
        if self.cursor is None:
            return None
        try:
            raw = base64.b64decode(self.cursor.encode("ascii"), altchars=b"-_", validate=True)
            kind: Any = GenericAlias(tuple, types)
            values: tuple[Any, ...] = TypeAdapter(kind).validate_json(raw)
        except (binascii.Error, UnicodeError, ValidationError):
            raise Problem(400, "invalid-cursor", "The cursor is not one of this list.") from None
        return values

    def page(self, rows: Sequence[T], key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
        """The page for `rows`, of which the query fetched `limit + 1` to learn whether there are more."""
        items = list(rows[: self.limit])
        more = len(rows) > self.limit
        return Page(items=items, next=encode_cursor(key(items[-1])) if more else None)


def encode_cursor(key: tuple[Any, ...]) -> str:
    """An opaque cursor for the key of an item (numbers, texts, times, UUIDs)."""
    return base64.urlsafe_b64encode(to_json(list(key))).decode("ascii")


def _page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most items on the page.")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=_MAX_CURSOR, description="`next` of the page before.")] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]
