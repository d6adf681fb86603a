"""MusicNFT and RoyaltyDistributor as far as money goes, written down a second time: what they owe, what they say.

`Chain` follows the Solidity sources and shares nothing with the service but the message classes, so that the service's
books can be held against it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from random import Random

from contracts import Message, chain
from contracts.chain import PaymentKind, Source
from contracts.testing import address, hash_of, source

MUSIC_NFT, DISTRIBUTOR, TREASURY = address(901), address(902), address(903)
Keyed = tuple[str, Message]


@dataclass
class TrackState:
    controller: str
    royalty_bps: int
    editions: int = 0
    shares: dict[str, int] = field(default_factory=dict)
    version: int = 0
    total_sun: int = 0  # net, under this version
    carry_sun: int = 0


class Chain:
    """Call it like the contracts; `messages` is what the chain service publishes, each with its key."""

    def __init__(self, fee_bps: int = 500, first_block: int = 1) -> None:
        self.fee_bps = fee_bps
        self.messages: list[Keyed] = []
        self.tracks: dict[int, TrackState] = {}
        self.owners: dict[int, str] = {}
        self.earnings: Counter[str] = Counter()
        self.proceeds: Counter[str] = Counter()
        self.fees: Counter[str] = Counter()  # by whom they were credited to
        self.paid_sun = 0
        self.withdrawn_sun = 0
        self._block, self._log, self._payments = first_block, 0, 0
        self._inside = False
        self.set_fee_recipient(TREASURY)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What happens inside is one transaction, in a block of its own."""
        nested, self._inside = self._inside, True
        yield
        if not nested:
            self._inside = False
            self._block, self._log = self._block + 1, 0

    @property
    def last_block(self) -> int:
        return self._block - 1

    def sleep(self, days: int) -> None:
        """Nothing happens for days: a block takes three seconds."""
        self._block += days * 86_400 // 3

    def release(self, artist: str, royalty_bps: int = 1_000, title: str = "A Song") -> int:
        track = len(self.tracks) + 1
        with self.transaction():
            self.tracks[track] = TrackState(artist, royalty_bps)
            self._say(
                f"music-nft/track/{track}",
                chain.TrackReleased(
                    track_id=track, artist=artist, title=title, artist_name="Ada", content_hash=hash_of("track", track),
                    max_editions=1_000, price_sun=1, royalty_bps=royalty_bps, source=self._next(MUSIC_NFT),
                ),
            )  # fmt: skip
            accepted = chain.SplitControlAccepted(track_id=track, controller=artist, source=self._next(DISTRIBUTOR))
            self._say(_track(track), accepted)
        return track

    def configure(self, track: int, recipients: Sequence[str], shares_ppm: Sequence[int]) -> None:
        state = self.tracks[track]
        with self.transaction():
            if state.version:
                self._settle(track, state)
            state.version, state.total_sun = state.version + 1, 0
            state.shares = dict(zip(recipients, shares_ppm, strict=True))
            self._say(
                _track(track),
                chain.SplitConfigured(
                    track_id=track, version=state.version, recipients=tuple(recipients), shares_ppm=tuple(shares_ppm),
                    source=self._next(DISTRIBUTOR),
                ),
            )  # fmt: skip

    def hand_over(self, track: int, controller: str) -> None:
        with self.transaction():
            self.tracks[track].controller = controller
            accepted = chain.SplitControlAccepted(track_id=track, controller=controller, source=self._next(DISTRIBUTOR))
            self._say(_track(track), accepted)

    def pay(
        self, track: int, amount_sun: int, kind: PaymentKind = PaymentKind.DIRECT, payer: str = address(800)
    ) -> int:
        state = self.tracks[track]
        with self.transaction():
            self._payments += 1
            payment, fee_sun = self._payments, amount_sun * self.fee_bps // 10_000
            self.fees[self.fee_recipient] += fee_sun
            self.paid_sun += amount_sun
            self._say(
                _track(track),
                chain.PaymentReceived(
                    track_id=track, payment_id=payment, payer=payer, kind=kind, amount_sun=amount_sun, fee_sun=fee_sun,
                    split_version=state.version, source=self._next(DISTRIBUTOR),
                ),
            )  # fmt: skip
            net_sun = amount_sun - fee_sun
            if state.version == 0:
                self._credit(track, payment, state.controller, net_sun)
                return payment
            before, state.total_sun = state.total_sun, state.total_sun + net_sun
            state.carry_sun += net_sun
            for who, ppm in state.shares.items():
                part = state.total_sun * ppm // 10**6 - before * ppm // 10**6
                state.carry_sun -= part
                if part:
                    self._credit(track, payment, who, part)
        return payment

    def buy_edition(self, track: int, buyer: str, price_sun: int) -> int:
        state = self.tracks[track]
        state.editions += 1
        token = track * 10**6 + state.editions
        with self.transaction():
            self._transferred(token, address(0), buyer)
            self._say(
                f"music-nft/token/{token}",
                chain.PrimarySale(
                    token_id=token, track_id=track, buyer=buyer, artist=state.controller, price_sun=price_sun,
                    source=self._next(MUSIC_NFT),
                ),
            )  # fmt: skip
            self.pay(track, price_sun, PaymentKind.PRIMARY, MUSIC_NFT)
        return token

    def resell(self, token: int, buyer: str, price_sun: int) -> None:
        track, seller = token // 10**6, self.owners[token]
        royalty_sun = price_sun * self.tracks[track].royalty_bps // 10_000
        with self.transaction():
            self._transferred(token, seller, buyer)
            self.proceeds[seller] += price_sun - royalty_sun
            self._say(
                f"music-nft/token/{token}",
                chain.SecondarySale(
                    token_id=token, track_id=track, buyer=buyer, seller=seller, price_sun=price_sun,
                    royalty_receiver=DISTRIBUTOR, royalty_sun=royalty_sun, source=self._next(MUSIC_NFT),
                ),
            )  # fmt: skip
            if royalty_sun:
                self.pay(track, royalty_sun, PaymentKind.SECONDARY, MUSIC_NFT)

    def give_away(self, token: int, to: str) -> None:
        with self.transaction():
            self._transferred(token, self.owners[token], to)

    def withdraw_earnings(self, account: str) -> None:
        amount_sun = self.earnings.pop(account, 0)
        if amount_sun:
            with self.transaction():
                self.withdrawn_sun += amount_sun
                out = chain.RoyaltyWithdrawn(account=account, amount_sun=amount_sun, source=self._next(DISTRIBUTOR))
                self._say(f"royalty-distributor/account/{account}", out)

    def withdraw_proceeds(self, account: str) -> None:
        amount_sun = self.proceeds.pop(account, 0)
        if amount_sun:
            with self.transaction():
                out = chain.SellerWithdrawn(account=account, amount_sun=amount_sun, source=self._next(MUSIC_NFT))
                self._say(f"music-nft/account/{account}", out)

    def set_fee(self, bps: int) -> None:
        with self.transaction():
            changed = chain.PlatformFeeChanged(old_bps=self.fee_bps, new_bps=bps, source=self._next(DISTRIBUTOR))
            self.fee_bps = bps
            self._say("royalty-distributor/platform", changed)

    def set_fee_recipient(self, recipient: str) -> None:
        with self.transaction():
            old = getattr(self, "fee_recipient", address(0))
            changed = chain.FeeRecipientChanged(
                old_recipient=old, new_recipient=recipient, source=self._next(DISTRIBUTOR)
            )
            self.fee_recipient = recipient
            self._say("royalty-distributor/platform", changed)

    @property
    def fees_sun(self) -> int:
        return self.fees.total()

    @property
    def carry_sun(self) -> int:
        return sum(track.carry_sun for track in self.tracks.values())

    def by_key(self) -> dict[str, list[Keyed]]:
        """The messages of each key, in order: all the order there is."""
        keyed: dict[str, list[Keyed]] = defaultdict(list)
        for key, message in self.messages:
            keyed[key].append((key, message))
        return keyed

    def _credit(self, track: int, payment: int, who: str, amount_sun: int) -> None:
        self.earnings[who] += amount_sun
        credited = chain.RoyaltyCredited(
            track_id=track, payment_id=payment, recipient=who, amount_sun=amount_sun, source=self._next(DISTRIBUTOR)
        )
        self._say(_track(track), credited)

    def _settle(self, track: int, state: TrackState) -> None:
        remainders = {who: state.total_sun * ppm % 10**6 for who, ppm in state.shares.items()}
        while state.carry_sun:
            who = min(remainders, key=lambda one: (-remainders[one], one))
            del remainders[who]
            state.carry_sun -= 1
            self.earnings[who] += 1
            settled = chain.CarrySettled(
                track_id=track, version=state.version, recipient=who, amount_sun=1, source=self._next(DISTRIBUTOR)
            )
            self._say(_track(track), settled)

    def _transferred(self, token: int, from_address: str, to: str) -> None:
        self.owners[token] = to
        moved = chain.NftTransfer(from_address=from_address, to=to, token_id=token, source=self._next(MUSIC_NFT))
        self._say(f"music-nft/token/{token}", moved)

    def _next(self, contract: str) -> Source:
        self._log += 1
        made = source(self._block, self._log - 1, tx=hash_of("tx", self._block))
        return replace(made, contract=contract)

    def _say(self, key: str, message: Message) -> None:
        self.messages.append((key, message))


def _track(track: int) -> str:
    return f"royalty-distributor/track/{track}"


PEOPLE = [address(n) for n in range(6)]


def busy_chain(
    seed: int = 1, steps: int = 120, fee_bps: int = 300, after_each: Callable[[Chain], None] = lambda chain: None
) -> Chain:
    """A history of two tracks in which everything happens, over some months."""
    random = Random(seed)
    chain = Chain()
    chain.set_fee(fee_bps)
    chain.set_fee_recipient(address(904))
    for artist in PEOPLE[:2]:
        chain.configure(chain.release(artist), random.sample(PEOPLE, 3), (333_333, 333_333, 333_334))
    for step in range(steps):
        track, person, amount_sun = random.choice((1, 2)), random.choice(PEOPLE), random.randint(1, 10**9)
        tokens = [token for token, owner in chain.owners.items() if owner != person]
        match step % 8:
            case 0 | 1 | 2:
                chain.buy_edition(track, person, amount_sun)
            case 3 | 4 if tokens:
                chain.resell(random.choice(tokens), person, amount_sun)
            case 5:
                chain.pay(track, amount_sun)
            case 6:
                chain.withdraw_earnings(person)
                chain.withdraw_proceeds(random.choice(PEOPLE))
            case 7:
                chain.sleep(days=5)
                chain.configure(track, random.sample(PEOPLE, 2), (1, 999_999))
                chain.give_away(random.choice(sorted(chain.owners)), person)
            case _:
                pass  # nobody has a token to resell
        after_each(chain)
    return chain
