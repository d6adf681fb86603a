"""What the queries share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

Query = sa.Select[tuple[Any, ...]]
