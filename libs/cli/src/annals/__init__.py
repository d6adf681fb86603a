"""The public consumer API; the `annals` command lives in `annals.cli` and is imported by nothing here."""

from annals.delivery import Delivery, GapFound, Skipped
from annals.subscription import Subscription, subscribe

__all__ = ["Delivery", "GapFound", "Skipped", "Subscription", "subscribe"]
