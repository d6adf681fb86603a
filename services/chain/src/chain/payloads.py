"""What an operation asks for becomes what a transaction does, by the typed contracts, which check the arguments."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, assert_never, get_type_hints

from chain.domain.operation import ContractCall, Payload, TokenPayment, TrxPayment
from tron.contract import Call, Contract
from tron.contracts import ComplianceRegistry, DCMXToken, MusicNFT, RewardVault, RoyaltyDistributor
from tron.errors import InvalidArgument
from tron.transaction import MAX_INT64, Transfer

CLASSES: Mapping[str, type[Contract]] = {
    "dcmx-token": DCMXToken,
    "music-nft": MusicNFT,
    "royalty-distributor": RoyaltyDistributor,
    "reward-vault": RewardVault,
    "compliance-registry": ComplianceRegistry,
}
_DIGITS = re.compile(r"-?\d{1,78}", re.ASCII)


class Payloads:
    """Prepares payloads for the contracts at these addresses (name -> address)."""

    def __init__(self, contracts: Mapping[str, str]) -> None:
        self._contracts = {name: CLASSES[name](address) for name, address in contracts.items()}

    def prepare(self, payload: Payload) -> Call | Transfer:
        """The call or transfer to sign. Raises InvalidArgument, which begins with the field's name."""
        match payload:
            case TrxPayment(to, amount_sun):
                if not 0 < amount_sun <= MAX_INT64:
                    raise InvalidArgument(f"amount_sun: expected 1 to 2^63-1 sun, got {amount_sun}")
                return Transfer(to, amount_sun)
            case TokenPayment(token, to, amount):
                return DCMXToken(token).transfer(to, amount)  # this function is the same in every TRC-20 token
            case ContractCall():
                return self._call(payload)
            case never:
                assert_never(never)

    def _call(self, payload: ContractCall) -> Call:
        contract = self._contracts.get(payload.contract)
        if contract is None:
            names = ", ".join(self._contracts) or "none, because no contract is configured"
            raise InvalidArgument(f"contract: expected one of {names}; got {payload.contract!r:.60}")
        known = methods(type(contract))
        if payload.method not in known:
            raise InvalidArgument(f"method: expected one of {', '.join(known)}; got {payload.method!r:.60}")
        method = getattr(contract, payload.method)
        parameters = inspect.signature(method).parameters
        args: dict[str, Any] = dict(payload.args)
        wanted = [name for name in parameters if name != "value_sun"]
        if strangers := sorted(args.keys() - set(wanted)):
            raise InvalidArgument(f"args.{strangers[0]:.60}: expected only {', '.join(wanted) or 'no arguments'}")
        if missing := [name for name in wanted if name not in args]:
            raise InvalidArgument(f"args.{missing[0]}: expected a value, got none")
        if payload.value_sun and "value_sun" not in parameters:
            raise InvalidArgument(f"value_sun: expected 0, {payload.method} takes no TRX; got {payload.value_sun}")
        if "value_sun" in parameters:
            args["value_sun"] = payload.value_sun
        hints = get_type_hints(getattr(type(contract), payload.method))
        call: Call = method(**{name: _whole(value, str(hints[name])) for name, value in args.items()})
        return call


def methods(cls: type[Contract]) -> list[str]:
    """The functions that change state: those of the generated class that return a `Call`."""
    return [
        name
        for name, member in vars(cls).items()
        if inspect.isfunction(member) and get_type_hints(member).get("return") is Call
    ]


def _whole(value: Any, hint: str) -> Any:
    """Integers may come as decimal strings, since JSON's numbers lose bits beyond 2^53."""
    if "int" not in hint:
        return value
    if isinstance(value, list):
        return [_whole(item, hint) for item in value]
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else value
