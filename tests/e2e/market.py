"""A random market on a devnet: sales of all kinds, splits that change, withdrawals; thousands of transactions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from messaging.testing import eventually
from tron.contract import Call
from tron.contracts import MusicNFT, RoyaltyDistributor
from tron.deploy import Deployment
from tron.keys import Key

TRX = 10**6
PRICE_SUN = 7_000_003
BLOCK_TRANSACTIONS = 200


@dataclass
class Track:
    controller: Key
    payees: list[Key]
    version: int = 0
    editions: int = 0


@dataclass
class Market:
    """Makes transactions that all succeed: it remembers who owns, who controls, and who surely is owed something."""

    at: Deployment
    admin: Key
    people: list[Key]
    artists: int
    dice: Random
    calls: list[tuple[Key, Call]] = field(default_factory=list)
    sales: int = 0

    def __post_init__(self) -> None:
        self.nft, self.distributor = MusicNFT(self.at.nft), RoyaltyDistributor(self.at.distributor)
        self.tracks: dict[int, Track] = {}
        self.owners: dict[int, Key] = {}
        self.earned: set[str] = set()
        self.proceeds: set[str] = set()
        for number, artist in enumerate(self.people[: self.artists], 1):
            title = f"Track {number}"
            content = hashlib.sha256(title.encode()).digest()
            royalty_bps = self.dice.choice((0, 1, 333, 1_000, 5_000))
            self._do(artist, self.nft.release_track(title, "Artist", content, 999_999, PRICE_SUN, royalty_bps))
            self.tracks[number] = Track(artist, [artist])

    def trade(self, sales: int) -> None:
        """So many sales, and what happens between them."""
        wanted = self.sales + sales
        often = {self.buy: 60, self.resell: 20, self.tip: 12, self.withdraw: 6, self.split: 5, self.give: 2}
        acts, weights = [*often, self.terms, self.discount], [*often.values(), 1, 1]
        while self.sales < wanted:
            self.dice.choices(acts, weights)[0]()

    def buy(self) -> None:
        number, buyer = self._track(), self.dice.choice(self.people)
        self._do(buyer, self.nft.buy_edition(number, value_sun=PRICE_SUN))
        track = self.tracks[number]
        track.editions += 1
        self.owners[number * 10**6 + track.editions] = buyer
        self._credited(number)
        self.sales += 1

    def resell(self) -> None:
        if not self.owners:
            return
        token = self.dice.choice(list(self.owners))
        seller, buyer = self.owners[token], self.dice.choice(self.people)
        if seller.address == buyer.address:
            return
        price_sun = self.dice.choice((1, 9_999, self.dice.randint(1, 50 * TRX)))
        self._do(seller, self.nft.list(token, price_sun))
        self._do(buyer, self.nft.buy(token, value_sun=price_sun))
        self.owners[token] = buyer
        if price_sun > 1:
            self.proceeds.add(seller.address)
        self.sales += 1

    def tip(self) -> None:
        number, amount_sun = self._track(), self.dice.choice((1, 7, self.dice.randint(TRX, 9 * TRX)))
        self._do(self.dice.choice(self.people), self.distributor.pay(number, 2, value_sun=amount_sun))
        if amount_sun >= TRX:
            self._credited(number)

    def split(self) -> None:
        """The next version, which settles the carry of the one before; now and then under another controller."""
        number = self._track()
        track, payees = self.tracks[number], self.dice.sample(self.people, self.dice.randint(2, 20))
        cuts = sorted(self.dice.sample(range(1, 10**6), len(payees) - 1))
        shares = [high - low for low, high in zip([0, *cuts], [*cuts, 10**6], strict=True)]
        self._do(track.controller, self.distributor.configure_split(number, [one.address for one in payees], shares))
        track.payees = payees if min(shares) > 2 else []  # a sale's price surely credits these
        if self.dice.random() < 0.3:
            heir = self.dice.choice(self.people)
            self._do(track.controller, self.distributor.propose_split_control(number, heir.address))
            self._do(heir, self.distributor.accept_split_control(number))
            track.controller = heir

    def withdraw(self) -> None:
        for owed, contract in ((self.earned, self.distributor), (self.proceeds, self.nft)):
            if owed:
                who = self.dice.choice(sorted(owed))
                owed.discard(who)
                self._do(next(one for one in self.people if one.address == who), contract.withdraw())

    def give(self) -> None:
        """A transfer without a sale: no royalty."""
        if self.owners:
            token = self.dice.choice(list(self.owners))
            owner, to = self.owners[token], self.dice.choice(self.people)
            self._do(owner, self.nft.transfer_from(owner.address, to.address, token))
            self.owners[token] = to

    def discount(self) -> None:
        """An edition's royalty falls to nothing, now and for ever."""
        if self.owners:
            token = self.dice.choice(list(self.owners))
            self._do(self.people[token // 10**6 - 1], self.nft.set_token_royalty(token, 0))

    def terms(self) -> None:
        if self.dice.random() < 0.5:
            self._do(self.admin, self.distributor.set_platform_fee(self.dice.randint(0, 3_000)))
        else:
            self._do(self.admin, self.distributor.set_fee_recipient(self.dice.choice(self.people).address))

    async def happen(self, url: str, solid_distance: int) -> None:
        """Sends what is due, in order, in full blocks, and makes all of it solid."""
        calls = [
            {"from": key.address, "to": call.contract_address, "data": call.data.hex(), "value": call.value_sun}
            for key, call in self.calls
        ]
        self.calls.clear()
        async with httpx.AsyncClient(base_url=f"{url}/devnet/", timeout=120) as control:

            async def ask(path: str, body: dict[str, Any]) -> None:
                (await control.post(path, json=body)).raise_for_status()

            await ask("block-time", {"seconds": None})
            order = {"transactions": len(calls), "calls": calls, "block_transactions": BLOCK_TRANSACTIONS}
            await ask("load", order)

            async def done() -> bool:
                load = (await control.get("load")).json()
                assert load["running"] or (load["sent"], load["failed"]) == (len(calls), 0), load
                return not load["running"]

            await eventually(done)
            await ask("mine", {"blocks": solid_distance + 1})

    def _track(self) -> int:
        return self.dice.randint(1, self.artists)

    def _credited(self, number: int) -> None:
        self.earned |= {one.address for one in self.tracks[number].payees}

    def _do(self, key: Key, call: Call) -> None:
        self.calls.append((key, call))
