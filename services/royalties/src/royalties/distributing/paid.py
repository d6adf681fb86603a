"""What the chain itself shows of payments: looked up at a node, block by block, not told by whoever sent them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from contracts.values import Address
from royalties.domain.distributions import PaymentDiffers, PaymentMade
from royalties.reconciliation.worker import node_of
from royalties.settings import RoyaltiesSettings
from tron.abi import Decoded
from tron.contracts import DCMXToken
from tron.model import Transaction, TransactionInfo


class PaidOnChain:
    """Payments as the blocks that they are said to be in show them."""

    def __init__(self, settings: RoyaltiesSettings, url: str) -> None:
        self._settings = settings
        self._url = url

    async def differing(self, made: Sequence[PaymentMade], token: Address | None) -> list[PaymentDiffers]:
        """Those by which a party got another amount, or nothing; `token` is what was paid in, None for TRX.

        Raises TronError.
        """
        by_block: dict[int, list[PaymentMade]] = defaultdict(list)
        for payment in made:
            by_block[payment.block_number].append(payment)
        found = []
        async with node_of(self._settings, self._url) as node:
            for number, payments in by_block.items():
                block, infos = await node.block_with_infos(number)
                there = {info.tx_id: (one, info) for one, info in zip(block.transactions, infos, strict=True)}
                for payment in payments:
                    seen = _paid(*there[payment.tx_id], payment.party, token) if payment.tx_id in there else 0
                    if seen != payment.amount:
                        found.append(_differs(payment, seen))
        return found


def _paid(transaction: Transaction, info: TransactionInfo, party: Address, token: Address | None) -> int:
    """What a party got by a transaction."""
    if not info.success:
        return 0
    if token is None:
        is_transfer = transaction.kind == "TransferContract" and transaction.to == party
        return transaction.amount_sun if is_transfer else 0
    events = DCMXToken(token).events(info)  # any TRC-20 logs its transfers alike
    logged = [one for one in events if isinstance(one, Decoded)]
    return sum(one.args["value"] for one in logged if one.name == "Transfer" and one.args["to"] == party)


def _differs(payment: PaymentMade, seen: int) -> PaymentDiffers:
    about = (payment.distribution_id, payment.payment_id, payment.party, payment.asset)
    return PaymentDiffers(*about, payment.amount, seen, payment.tx_id, payment.block_number)
