"""What to deploy: the constructors' arguments, who gets which role, the reward pools; and the steps that do it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

from tron.address import keccak256, normalise
from tron.codec import refuse
from tron.contract import Call, Contract
from tron.contracts import (
    ComplianceRegistry,
    DCMXToken,
    ListeningVerifierV1,
    MusicNFT,
    RewardVault,
    RoyaltyDistributor,
)
from tron.creation import Creation
from tron.errors import InvalidAddress, InvalidArgument

TOKEN = 10**18
"""One DCMX in its smallest unit (18 decimals)."""

POOLS = ("sharing", "listening", "bandwidth", "voting", "referral")
"""The names of the reward pools, in the order of their numbers."""

Administered = DCMXToken | ComplianceRegistry | RoyaltyDistributor | MusicNFT | RewardVault
C = TypeVar("C", bound=Contract)
CONTRACTS: tuple[type[Administered], ...] = (DCMXToken, ComplianceRegistry, RoyaltyDistributor, MusicNFT, RewardVault)
"""The five contracts, in the order in which they are created."""

CREATED: tuple[type[Contract], ...] = (*CONTRACTS, ListeningVerifierV1)
"""All that is created: the five, and what RewardVault checks listening claims by."""

Addresses = Mapping[str, str]
"""Where the contracts are, by their compiled names."""

_ADMINISTRATION = ("DEFAULT_ADMIN_ROLE", "PAUSER_ROLE")
_DECIMAL = re.compile(r"(\d+)(?:\.(\d{1,18}))?")


@dataclass(frozen=True, slots=True)
class Pool:
    """A reward pool's budget and its limit per account and UTC day, in the token's smallest unit."""

    budget: int
    daily_limit: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What to deploy. Who is not named is the administrator: fee recipient, verifier, officers, anchors, publishers
    (of listening periods and batches), treasury.

    The administrator is the deployer, unless another address (a multi-signature account) is named to take over: it is
    granted administration and pausing of every contract, and with `renounce` the deployer then gives up its own.
    `treasury` gets what the pools leave of the initial supply. Amounts are in the token's smallest unit.
    """

    cap: int = 1_000_000_000 * TOKEN
    initial_supply: int = 100_000_000 * TOKEN
    fee_bps: int = 250
    fee_recipient: str | None = None
    verifier: str | None = None
    artists: Sequence[str] = ()
    officers: Sequence[str] = ()
    anchors: Sequence[str] = ()
    publishers: Sequence[str] = ()
    pools: Mapping[int, Pool] = field(
        default_factory=lambda: {pool: Pool(1_000_000 * TOKEN, 100 * TOKEN) for pool in range(5)}
    )
    administrator: str | None = None
    renounce: bool = False
    treasury: str | None = None

    def __post_init__(self) -> None:
        budgets = self.budgets
        if not budgets <= self.initial_supply <= self.cap:
            raise InvalidArgument(
                f"plan: expected pools ({budgets}) <= initial supply ({self.initial_supply}) <= cap ({self.cap})"
            )
        if self.administrator and not self.verifier:
            raise InvalidArgument("plan.verifier: expected an address, for the administrator cannot sign claims")
        if self.renounce and not self.administrator:
            raise InvalidArgument("plan.renounce: expected an administrator to renounce for")

    @property
    def budgets(self) -> int:
        """What all pools take of the initial supply."""
        return sum(pool.budget for pool in self.pools.values())

    @classmethod
    def from_config(cls, source: Mapping[str, Any]) -> Self:
        """Return the plan of a configuration file; amounts there are DCMX, as ints or decimal texts (`cap_dcmx`).

        Raises `InvalidArgument`, its text beginning with the path of the field.
        """
        known = {**{f"{name}_dcmx": name for name in ("cap", "initial_supply")}, **{n: n for n in _PLAIN}}
        values: dict[str, Any] = {}
        for key, value in source.items():
            if key not in known:
                raise InvalidArgument(f"{key}: no such field; there are: {', '.join(sorted(known))}")
            values[known[key]] = _read(key, value)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return a form for JSON, equal for equal plans."""
        plain = {name: getattr(self, name) for name in (field.name for field in fields(self)) if name != "pools"}
        lists = {name: list(plain[name]) for name in _LISTS}
        pools = {str(number): [pool.budget, pool.daily_limit] for number, pool in sorted(self.pools.items())}
        return {**plain, **lists, "pools": pools}


_ADDRESSES = ("fee_recipient", "verifier", "administrator", "treasury")
_LISTS = ("artists", "officers", "anchors", "publishers")
_PLAIN = (*_ADDRESSES, *_LISTS, "fee_bps", "renounce", "pools")


def _read(key: str, value: Any) -> Any:
    if key.endswith("_dcmx"):
        return _tokens(key, value)
    if key in _ADDRESSES:
        return _address(key, value)
    if key in _LISTS:
        if not isinstance(value, list):
            raise refuse(key, "a list of addresses", value)
        return tuple(_address(f"{key}[{index}]", one) for index, one in enumerate(value))
    if key == "pools":
        return _pools(value)
    kind = bool if key == "renounce" else int
    if type(value) is not kind:
        raise refuse(key, f"a {kind.__name__}", value)
    return value


def _pools(source: Any) -> dict[int, Pool]:
    pools: dict[int, Pool] = {}
    if not isinstance(source, Mapping):
        raise refuse("pools", "a table", source)
    for name, pool in source.items():
        if name not in POOLS:
            raise InvalidArgument(f"pools.{name}: no such pool; there are: {', '.join(POOLS)}")
        if not isinstance(pool, Mapping) or set(pool) != {"budget_dcmx", "daily_limit_dcmx"}:
            raise refuse(f"pools.{name}", "budget_dcmx and daily_limit_dcmx", pool)
        amounts = {key: _tokens(f"pools.{name}.{key}", value) for key, value in pool.items()}
        pools[POOLS.index(name)] = Pool(amounts["budget_dcmx"], amounts["daily_limit_dcmx"])
    return pools


def _address(path: str, value: Any) -> str:
    try:
        return normalise(value)
    except InvalidAddress:
        raise refuse(path, "an address", value) from None


def _tokens(path: str, value: Any) -> int:
    match = None if isinstance(value, bool | float) else _DECIMAL.fullmatch(str(value))
    if match is None:
        raise refuse(path, "DCMX as an int or a text with at most 18 decimals", value)
    whole, fraction = match.groups(default="")
    return int(whole) * TOKEN + int(fraction.ljust(18, "0"))


# -- the steps ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction; what it does can depend on where the contracts of the stages before it are."""

    name: str
    payload: Callable[[Addresses], Call | Creation]


def stages(plan: Plan, owner: str) -> list[list[Step]]:
    """Return the steps; those of a stage need nothing of each other, but all that the stages before have done.

    Raises `InvalidArgument` if the deployer (`owner`) were to renounce what nobody else has.
    """
    admin = plan.administrator or owner
    if plan.renounce and admin == owner:
        raise InvalidArgument(f"plan.renounce: expected another administrator than the deployer, got {owner}")
    steps = [
        [
            _create(DCMXToken, lambda at: DCMXToken.creation(owner, plan.cap, plan.initial_supply)),
            _create(ComplianceRegistry, lambda at: ComplianceRegistry.creation(owner)),
            _create(ListeningVerifierV1, lambda at: ListeningVerifierV1.creation()),
            _create(
                RoyaltyDistributor,
                lambda at: RoyaltyDistributor.creation(owner, plan.fee_recipient or admin, plan.fee_bps),
            ),
        ],
        [
            _create(MusicNFT, lambda at: MusicNFT.creation(owner, at["RoyaltyDistributor"])),
            _create(RewardVault, lambda at: RewardVault.creation(owner, at["DCMXToken"], plan.verifier or owner)),
        ],
        [*_roles(plan, admin), *_treasury(plan, owner, admin)],
        [step for number, pool in plan.pools.items() for step in _pool(number, pool)],
        [_grant(kind, name, admin) for kind in CONTRACTS for name in _ADMINISTRATION if admin != owner],
        *([_renounce(kind, name, owner) for kind in CONTRACTS if plan.renounce] for name in reversed(_ADMINISTRATION)),
    ]
    return [stage for stage in steps if stage]


def _roles(plan: Plan, admin: str) -> Iterator[Step]:
    registrar = role("REGISTRAR_ROLE")
    yield _call(
        RoyaltyDistributor,
        "grant REGISTRAR_ROLE to MusicNFT",
        lambda distributor, at: distributor.grant_role(registrar, at["MusicNFT"]),
    )
    yield _call(
        RewardVault,
        "set the verifier of listening claims",
        lambda vault, at: vault.set_listening_verifier(at["ListeningVerifierV1"]),
    )
    for artist in plan.artists:
        yield _grant(MusicNFT, "ARTIST_ROLE", artist)
    for officer in plan.officers or [admin]:
        yield _grant(ComplianceRegistry, "OFFICER_ROLE", officer)
    for anchor in plan.anchors or [admin]:
        yield _grant(ComplianceRegistry, "ANCHOR_ROLE", anchor)
    for publisher in plan.publishers or [admin]:
        yield _grant(RewardVault, "PUBLISHER_ROLE", publisher)


def _treasury(plan: Plan, owner: str, admin: str) -> Iterator[Step]:
    """The initial supply, which the deployer has: what the pools will take, and the rest."""
    budgets, treasury = plan.budgets, plan.treasury or admin
    rest = plan.initial_supply - budgets
    if budgets:
        yield _call(DCMXToken, "approve RewardVault", lambda token, at: token.approve(at["RewardVault"], budgets))
    if rest and treasury != owner:
        yield _call(DCMXToken, f"transfer the rest to {treasury}", lambda token, at: token.transfer(treasury, rest))


def _pool(number: int, pool: Pool) -> Iterator[Step]:
    if pool.budget:
        yield _call(RewardVault, f"fund pool {number}", lambda vault, at: vault.fund_pool(number, pool.budget))
    yield _call(
        RewardVault,
        f"configure pool {number}",
        lambda vault, at: vault.configure_pool(number, pool.daily_limit, True),
    )


def _create(kind: type[Contract], payload: Callable[[Addresses], Creation]) -> Step:
    return Step(f"create {kind.NAME}", payload)


def _grant(kind: type[Administered], name: str, account: str) -> Step:
    return _call(kind, f"grant {name} to {account}", lambda contract, at: contract.grant_role(role(name), account))


def _renounce(kind: type[Administered], name: str, owner: str) -> Step:
    return _call(kind, f"renounce {name}", lambda contract, at: contract.renounce_role(role(name), owner))


def _call(kind: type[C], what: str, call: Callable[[C, Addresses], Call]) -> Step:
    return Step(f"{kind.NAME}: {what}", lambda at: call(kind(at[kind.NAME]), at))


def role(name: str) -> bytes:
    """Return the id of an AccessControl role: the hash of its name, or zero for the one that grants all others."""
    return bytes(32) if name == "DEFAULT_ADMIN_ROLE" else keccak256(name.encode())
