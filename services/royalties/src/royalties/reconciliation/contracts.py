"""What RoyaltyDistributor and MusicNFT owe and hold, as a node says of its last solidified block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from contracts.values import Address
from royalties.domain import AccountClass, class_of
from royalties.domain.books import CUSTODY_DISTRIBUTOR, CUSTODY_MUSIC_NFT
from tron.address import hex41
from tron.client import NodeClient
from tron.contracts import MusicNFT, RoyaltyDistributor
from tron.errors import NodeLied
from tron.sender import Sender

AT_ONCE = 64
"""Accounts read between two looks at the solidified height."""
CUSTODIES = (CUSTODY_DISTRIBUTOR, CUSTODY_MUSIC_NFT)
OnProgress = Callable[[int, int], None]
"""Is told how many accounts of how many were read."""


@dataclass(frozen=True, slots=True)
class Held:
    """An amount as of one of the solidified blocks from `first` to `last`."""

    amount_sun: int
    first: int
    last: int


class Contracts:
    """The two contracts at their addresses, asked of one node."""

    def __init__(self, node: NodeClient, distributor: Address, music_nft: Address) -> None:
        self._node = node
        self._sender = Sender(node)
        self._distributor = RoyaltyDistributor(distributor)
        self._music_nft = MusicNFT(music_nft)

    async def held(self, accounts: Sequence[str], on_progress: OnProgress) -> dict[str, Held]:
        """What the contracts have for accounts of the books. Raises NodeError.

        Contracts tell their state of now only. So the solidified height is looked at before and after.
        """
        found: dict[str, Held] = {}
        before = (await self._node.solid_head()).number
        for start in range(0, len(accounts), AT_ONCE):
            asked = accounts[start : start + AT_ONCE]
            amounts = await asyncio.gather(*map(self._amount, asked))
            after = (await self._node.solid_head()).number
            for account, amount_sun in zip(asked, amounts, strict=True):
                found[account] = Held(amount_sun, before, after)
            before = after
            on_progress(len(found), len(accounts))
        return found

    async def _amount(self, account: str) -> int:
        name = account.partition(":")[2]
        if account == CUSTODY_DISTRIBUTOR:
            return await self._balance(self._distributor.address)
        if account == CUSTODY_MUSIC_NFT:
            return await self._balance(self._music_nft.address)
        match class_of(account):
            case AccountClass.EARNINGS:
                return await self._sender.read(self._distributor.withdrawable(name), solid=True)
            case AccountClass.SELLER:
                return await self._sender.read(self._music_nft.withdrawable(name), solid=True)
            case AccountClass.CARRY:
                return await self._sender.read(self._distributor.carry_of(int(name)), solid=True)
            case _:
                raise ValueError(f"{account}: no contract knows it")

    async def _balance(self, address: str) -> int:
        path = "walletsolidity/getaccount"
        answer = await self._node.request(path, {"address": hex41(address)})
        balance = answer.get("balance", 0) if isinstance(answer, dict) else None
        if type(balance) is not int:
            raise NodeLied(self._node.solid_url, path, f"expected an account with a balance, got {answer!r:.80}")
        return balance
