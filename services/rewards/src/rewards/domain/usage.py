"""How much of a daily limit is used."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Usage:
    """What counts towards a limit per day: a user's for one kind of reward, an address's at one pool.

    What is on its way counts on every day, because nobody knows on which it will be paid. So whatever the order and
    the day of the payments, the vault never finds the limit exceeded by what this service has authorised.
    """

    reserved: int = 0  # for claims on their way
    day: int = 0  # the latest one on which something was paid
    paid_that_day: int = 0

    def on(self, day: int) -> int:
        """What counts on a day, or on the latest of a payment if that is later."""
        return self.reserved + (self.paid_that_day if day <= self.day else 0)

    def reserve(self, amount: int) -> Usage:
        return replace(self, reserved=self.reserved + amount)

    def release(self, amount: int) -> Usage:
        return replace(self, reserved=self.reserved - amount)

    def pay(self, amount: int, day: int) -> Usage:
        if day < self.day:  # events of two claims may come in another order than they were paid
            return self
        return Usage(self.reserved, day, amount + (self.paid_that_day if day == self.day else 0))
