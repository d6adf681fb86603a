"""What each event of the contracts does to the read models, written down a second time, for `truth`.

Nothing here is shared with the services: neither their code nor their messages. A table that shows more than the chain
knows (what users did by HTTP) is compared in the columns that come from the chain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tron.address import ZERO

Row = tuple[Any, ...]
Args = Mapping[str, Any]
POOLS = ("sharing", "listening", "bandwidth", "voting", "referral")
DOCUMENTS = ("terms", "privacy", "cookies", "artist-agreement", "license")
LAWS = ("gdpr", "ccpa")
PAYMENTS = ("primary", "secondary", "direct")
NFT, DISTRIBUTOR = "music-nft", "royalty-distributor"


class Place(NamedTuple):
    """Where a log stands."""

    block: int
    log: int
    tx: str
    time_ms: int
    contract: str  # its name in topics: "music-nft"


@dataclass
class Facts:
    """Tables by name: rows by their key, and sums by their key. Of the sums, those of nothing are left out."""

    rows: dict[str, dict[Row, list[Any]]] = field(default_factory=dict)
    sums: dict[str, dict[Row, list[int]]] = field(default_factory=dict)

    def put(self, table: str, key: Row, *values: Any) -> None:
        self.rows.setdefault(table, {})[key] = list(values)

    def get(self, table: str, *key: Any) -> list[Any]:
        """The values of a row, to look at or to change."""
        return self.rows[table][key]

    def add(self, table: str, key: Row, *amounts: int) -> None:
        before = self.sums.setdefault(table, {}).get(key, [0] * len(amounts))
        self.sums[table][key] = [total + amount for total, amount in zip(before, amounts, strict=True)]

    def expected(self, table: str) -> Counter[Row]:
        found = [(*key, *values) for key, values in self.rows.get(table, {}).items()]
        found += [(*key, *values) for key, values in self.sums.get(table, {}).items() if any(values)]
        return Counter(found)

    def post(self, debit: str, credit: str, amount_sun: int) -> None:
        """An entry in the books of royalties."""
        self.add("balances", (debit, "TRX"), amount_sun, 0)
        self.add("balances", (credit, "TRX"), 0, amount_sun)

    def line(self, at: Place, account: str, kind: str, amount_sun: int, **of: int) -> None:
        """A line of somebody's statement."""
        if amount_sun:
            what = (of.get(name) for name in ("track_id", "token_id", "payment_id", "split_version"))
            party = account.partition(":")[2]
            self.put("statement_lines", (party, "TRX", at.block, at.log), account, kind, amount_sun, *what, at.tx)


# ---- chain ------------------------------------------------------------------------------------------------------


def token_moved(facts: Facts, args: Args, at: Place) -> None:
    payer, payee, value = args["from"], args["to"], args["value"]
    if payer != ZERO:
        facts.add("token_balances", (payer, at.contract), -value)
    if payee != ZERO:
        facts.add("token_balances", (payee, at.contract), value)
    minted, burned = value * (payer == ZERO), value * (payee == ZERO)
    facts.add("token_supply", (at.contract,), minted - burned, minted, burned)


def nft_moved(facts: Facts, args: Args, at: Place) -> None:
    token, before, owner = (args["tokenId"],), args["from"], args["to"]
    if before != ZERO:
        facts.add("nft_counts", (before,), -1)
    if owner == ZERO:
        del facts.rows["nft_owners"][token]
        return
    facts.add("nft_counts", (owner,), 1)
    edition = facts.get("nft_owners", *token)[1:3] if before != ZERO else [None, None]
    facts.put("nft_owners", token, owner, *edition, at.tx, at.block)


def minted(facts: Facts, args: Args, at: Place) -> None:
    facts.get("nft_owners", args["tokenId"])[1:3] = args["trackId"], args["edition"]
    facts.add("track_editions", (args["trackId"],), 1)


def role_granted(facts: Facts, args: Args, at: Place) -> None:
    facts.put("contract_roles", (at.contract, args["role"], args["account"]), at.tx)


def role_revoked(facts: Facts, args: Args, at: Place) -> None:
    del facts.rows["contract_roles"][at.contract, args["role"], args["account"]]


# ---- rewards ----------------------------------------------------------------------------------------------------


def claimed(facts: Facts, args: Args, at: Place) -> None:
    pool, claimant, amount = POOLS[args["pool"]], args["claimant"], args["amount"]
    place = (at.time_ms, at.block, at.log, at.tx)
    facts.put("reward_claims", (args["claimId"],), pool, claimant, amount, args["day"], *place)
    facts.add("reward_totals", (claimant, pool), amount, 1)
    facts.add("pools", (pool,), 0, 0, amount, 1)


def funded(facts: Facts, args: Args, at: Place) -> None:
    facts.add("pools", (POOLS[args["pool"]],), args["amount"], 0, 0, 0)


def swept(facts: Facts, args: Args, at: Place) -> None:
    facts.add("pools", (POOLS[args["pool"]],), 0, args["amount"], 0, 0)


def configured(facts: Facts, args: Args, at: Place) -> None:
    facts.put("pool_limits", (POOLS[args["pool"]],), args["active"], args["dailyLimit"])


# ---- royalties --------------------------------------------------------------------------------------------------


def _sold(facts: Facts, args: Args, at: Place, kind: str, seller: str, forwarded_sun: int) -> None:
    token, track, price_sun = args["tokenId"], args["trackId"], args["priceSun"]
    parties = (kind, seller, args["buyer"], price_sun, forwarded_sun)
    facts.put("nft_sales", (token, at.block, at.log), track, *parties, at.tx, at.time_ms)
    kept_sun = price_sun - forwarded_sun
    facts.post(f"custody:{NFT}", f"seller:{seller}", kept_sun)
    facts.line(at, f"seller:{seller}", "sale", kept_sun, token_id=token, track_id=track)


def primary_sale(facts: Facts, args: Args, at: Place) -> None:
    _sold(facts, args, at, "primary", args["artist"], args["priceSun"])


def secondary_sale(facts: Facts, args: Args, at: Place) -> None:
    _sold(facts, args, at, "secondary", args["seller"], args["royaltySun"])


def released(facts: Facts, args: Args, at: Place) -> None:
    about = (args["title"], args["artistName"], args["artist"], args["royaltyBps"])
    facts.put("tracks", (args["trackId"],), *about)


def controlled(facts: Facts, args: Args, at: Place) -> None:
    facts.put("track_controllers", (args["trackId"],), args["controller"])


def split_set(facts: Facts, args: Args, at: Place) -> None:
    shares = [{"ppm": ppm, "recipient": who} for who, ppm in zip(args["recipients"], args["sharesPpm"], strict=True)]
    facts.put("splits", (args["trackId"], args["version"]), canonical(shares), at.block, at.log, at.tx)


def paid(facts: Facts, args: Args, at: Place) -> None:
    track, amount_sun, fee_sun = args["trackId"], args["amountSun"], args["feeSun"]
    kind, split = PAYMENTS[args["kind"]], args["splitVersion"]
    key = (track, args["paymentId"])
    facts.put(
        "track_payments", key, args["payer"], kind, amount_sun, fee_sun, split, 0, at.block, at.log, at.tx, at.time_ms
    )
    facts.post(f"custody:{DISTRIBUTOR}", f"carry:{track}/{split}", amount_sun - fee_sun)
    facts.post(f"custody:{DISTRIBUTOR}", "platform-fee", fee_sun)


def credited(facts: Facts, args: Args, at: Place) -> None:
    track, payment_id, recipient, amount_sun = (args[n] for n in ("trackId", "paymentId", "recipient", "amountSun"))
    payment = facts.get("track_payments", track, payment_id)
    kind, split = payment[1], payment[4]
    payment[5] += amount_sun
    facts.put("nft_royalties", (track, payment_id, recipient), amount_sun, kind, split, at.block, at.log, at.tx)
    _earned(facts, at, recipient, track, kind, split, amount_sun, payment_id=payment_id)


def settled(facts: Facts, args: Args, at: Place) -> None:
    _earned(facts, at, args["recipient"], args["trackId"], "carry", args["version"], args["amountSun"])


def _earned(
    facts: Facts, at: Place, recipient: str, track: int, kind: str, split: int, amount_sun: int, **of: int
) -> None:
    month = datetime.fromtimestamp(at.time_ms / 1000, UTC).strftime("%Y-%m-01")
    facts.add("artist_earnings", (recipient, "TRX", month, track, kind), amount_sun, 1)
    facts.post(f"carry:{track}/{split}", f"earnings:{recipient}", amount_sun)
    shown = kind if kind == "carry" else f"royalty-{kind}"
    facts.line(at, f"earnings:{recipient}", shown, amount_sun, track_id=track, split_version=split, **of)


def withdrawn(facts: Facts, args: Args, at: Place) -> None:
    who, amount_sun = args["account"], args["amountSun"]
    facts.put("royalty_payments", (who, at.block, at.log), at.contract, amount_sun, at.tx)
    owed, kind = (f"earnings:{who}", "payout") if at.contract == DISTRIBUTOR else (f"seller:{who}", "proceeds-payout")
    facts.post(owed, f"custody:{at.contract}", amount_sun)
    facts.line(at, owed, kind, -amount_sun)


def fee_changed(facts: Facts, args: Args, at: Place) -> None:
    facts.put("platform_fees", (at.block, at.log), args["oldBps"], args["newBps"], at.tx)


# ---- compliance -------------------------------------------------------------------------------------------------


def _trail(facts: Facts, at: Place, *, by_officer: bool) -> None:
    """In the audit trail, and if an officer did it among the acts of administration."""
    facts.put("audit_events", (at.block, at.log, at.tx))
    if by_officer:
        facts.put("admin_actions", (at.block, at.log, at.tx))


def published(facts: Facts, args: Args, at: Place) -> None:
    key = (DOCUMENTS[args["documentType"]], args["version"])
    facts.put("documents", key, args["contentHash"], args["uri"], at.time_ms, at.block, at.log, at.tx)
    _trail(facts, at, by_officer=True)


def accepted(facts: Facts, args: Args, at: Place) -> None:
    who, document, version = args["account"], DOCUMENTS[args["documentType"]], args["version"]
    key = (who, document, version)
    if key not in facts.rows.get("acceptance_records", {}):  # once is enough
        facts.put("acceptance_records", key, args["contentHash"], at.time_ms, at.block, at.log, at.tx)
        facts.add("acceptance_counts", (document, version), 1)
        _trail(facts, at, by_officer=False)
    if version > facts.rows.get("compliance_index", {}).get((who, document), [0])[0]:
        facts.put("compliance_index", (who, document), version, at.time_ms)


def deletion_requested(facts: Facts, args: Args, at: Place) -> None:
    about = (args["account"], LAWS[args["law"]], at.time_ms, at.block, at.log, at.tx)
    facts.put("data_deletion_requests", (args["requestId"],), *about, *[None] * 7)
    _trail(facts, at, by_officer=False)


def _closed(facts: Facts, args: Args, at: Place, outcome: str, certificate: str | None, reason: int | None) -> None:
    closed = (outcome, certificate, reason, at.time_ms, at.block, at.log, at.tx)
    facts.get("data_deletion_requests", args["requestId"])[6:] = closed
    _trail(facts, at, by_officer=True)


def deletion_completed(facts: Facts, args: Args, at: Place) -> None:
    _closed(facts, args, at, "completed", args["certificateHash"], None)


def deletion_denied(facts: Facts, args: Args, at: Place) -> None:
    _closed(facts, args, at, "denied", None, args["reason"])


def anchored(facts: Facts, args: Args, at: Place) -> None:
    _trail(facts, at, by_officer=True)


HANDLERS: Mapping[tuple[str, str], Callable[[Facts, Args, Place], None]] = {
    ("dcmx-token", "Transfer"): token_moved,
    (NFT, "Transfer"): nft_moved,
    (NFT, "EditionMinted"): minted,
    (NFT, "PrimarySale"): primary_sale,
    (NFT, "SecondarySale"): secondary_sale,
    (NFT, "TrackReleased"): released,
    (NFT, "Withdrawn"): withdrawn,
    (DISTRIBUTOR, "SplitControlAccepted"): controlled,
    (DISTRIBUTOR, "SplitConfigured"): split_set,
    (DISTRIBUTOR, "PaymentReceived"): paid,
    (DISTRIBUTOR, "RoyaltyCredited"): credited,
    (DISTRIBUTOR, "CarrySettled"): settled,
    (DISTRIBUTOR, "Withdrawn"): withdrawn,
    (DISTRIBUTOR, "PlatformFeeChanged"): fee_changed,
    ("reward-vault", "RewardClaimed"): claimed,
    ("reward-vault", "PoolFunded"): funded,
    ("reward-vault", "PoolSwept"): swept,
    ("reward-vault", "PoolConfigured"): configured,
    ("compliance-registry", "DocumentPublished"): published,
    ("compliance-registry", "DocumentAccepted"): accepted,
    ("compliance-registry", "DeletionRequested"): deletion_requested,
    ("compliance-registry", "DeletionCompleted"): deletion_completed,
    ("compliance-registry", "DeletionDenied"): deletion_denied,
    ("compliance-registry", "RootAnchored"): anchored,
}
"""By contract and event. `RoleGranted` and `RoleRevoked` are the same for all: see `truth`."""


def canonical(value: Any) -> str:
    """JSON in one form, whichever names and types of numbers its writer prefers."""
    match value:
        case Mapping():
            pairs = sorted((str(name).replace("_", "").lower(), canonical(part)) for name, part in value.items())
            return "{" + ",".join(f"{name}:{part}" for name, part in pairs) + "}"
        case list() | tuple():
            return "[" + ",".join(canonical(part) for part in value) + "]"
        case bool():
            return str(value).lower()
        case _:
            return str(value)
