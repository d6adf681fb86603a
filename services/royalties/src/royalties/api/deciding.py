"""Commands about distributions: what is refused becomes a problem with a title for its reason."""

from __future__ import annotations

from eventlog import AnyIntent
from royalties.domain import Refused
from service import Commands, Problem, Recorded

TITLES = {
    "amount-zero": "There is nothing to share.",
    "reference-conflict": "The key was used for another allocation.",
    "pool-too-small": "The pool has too little.",
    "period-distributed": "The pool's distribution for this period is another one.",
    "distribution-conflict": "The key was used for another distribution.",
    "not-found": "There is no such thing.",
    "approved-already": "The distribution is decided.",
    "not-previewed": "The shares are not computed yet.",
    "own-distribution": "Who opened a distribution may not approve it.",
    "other-preview": "The approval is of another preview.",
    "payment-ended": "The payment has ended.",
    "payment-under-way": "The payment may still be made.",
    "held": "The party is held.",
    "too-many-attempts": "It was tried too often.",
}
STATUS = {"amount-zero": 422, "not-found": 404, "own-distribution": 403}
"""Of all others it is 409: they conflict with how things stand."""


async def decide(commands: Commands, intent: AnyIntent) -> Recorded:
    """Raises Problem if it is refused."""
    try:
        return await commands.execute([intent])
    except Refused as refused:
        raise Problem(STATUS.get(refused.code, 409), refused.code, TITLES[refused.code], str(refused)) from None
