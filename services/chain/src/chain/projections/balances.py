"""What each account has, of TRX and of each token."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from chain.domain import (
    CONTRACTS,
    ZERO,
    ContractEvent,
    InternalTransfer,
    LogDecoded,
    MoreInternalTransfers,
    TransactionSolidified,
)
from chain.projections.events import accounts_in
from eventlog import RecordedEvent
from projections import Amount, Projection, Rows, on

metadata = sa.MetaData()

trx_balances = sa.Table(
    "trx_balances",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("balance_sun", Amount, nullable=False),
    sa.Column("fees_sun", Amount, nullable=False),  # burned so far; `balance_sun` is after them
    sa.Column("unaccounted", sa.BigInteger, nullable=False),  # its transactions of kinds that may move TRX otherwise
)

token_balances = sa.Table(
    "token_balances",
    metadata,
    sa.Column("address", sa.Text, primary_key=True),
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("balance", Amount, nullable=False),
    sa.Index("token_balances_rank", "contract", "balance", "address", postgresql_where=sa.text("balance > 0")),
)

token_supply = sa.Table(
    "token_supply",
    metadata,
    sa.Column("contract", sa.Text, primary_key=True),
    sa.Column("supply", Amount, nullable=False),
    sa.Column("minted", Amount, nullable=False),
    sa.Column("burned", Amount, nullable=False),
)


class TrxBalances(Projection):
    """TRX of every account: transfers, call values, what contracts moved, and fees, from the genesis block on.

    Exact if all transactions are recorded from block 0 and the account has made none of a kind that moves TRX in other
    ways (staking, voting rewards): `unaccounted` counts those.
    """

    name = "trx_balances"
    totals = (trx_balances,)

    ACCOUNTED = frozenset(
        {"TransferContract", "TriggerSmartContract", "CreateSmartContract", "AccountCreateContract"}
        | {"TransferAssetContract", "VoteWitnessContract", "AccountUpdateContract", "UpdateSettingContract"}
        | {"UpdateEnergyLimitContract", "ClearABIContract", "AccountPermissionUpdateContract"}
    )
    """Kinds that move TRX by amount, call value, internal transfers and fee only, or not at all."""

    @on(TransactionSolidified)
    def moved(self, event: TransactionSolidified, recorded: RecordedEvent, rows: Rows) -> None:
        if event.owner != ZERO:  # nobody pays for the genesis block's allocations
            unaccounted = 0 if event.kind in self.ACCOUNTED else 1
            _credit(rows, event.owner, -event.fee_sun, fees_sun=event.fee_sun, unaccounted=unaccounted)
        amount = event.amount_sun + event.call_value_sun
        if amount and event.success and event.to is not None:
            self._move(event.owner, event.to, amount, rows)
        self._internal(event.internal, rows)

    @on(MoreInternalTransfers)
    def moved_on(self, event: MoreInternalTransfers, recorded: RecordedEvent, rows: Rows) -> None:
        self._internal(event.internal, rows)

    def _internal(self, transfers: Iterable[InternalTransfer], rows: Rows) -> None:
        for transfer in transfers:
            self._move(transfer.payer, transfer.payee, transfer.amount_sun, rows)

    def _move(self, payer: str, payee: str, amount_sun: int, rows: Rows) -> None:
        if payer != ZERO:
            _credit(rows, payer, -amount_sun)
        _credit(rows, payee, amount_sun)


def _credit(rows: Rows, address: str, amount_sun: int, *, fees_sun: int = 0, unaccounted: int = 0) -> None:
    rows.increment(
        trx_balances, {"address": address}, balance_sun=amount_sun, fees_sun=fees_sun, unaccounted=unaccounted
    )


def _is_of_token(event: ContractEvent | LogDecoded) -> bool:
    """Whether it is the transfer of TRC-20, whose arguments have the standard's names (see `decoding`)."""
    if event.name != "Transfer" or event.contract in CONTRACTS:
        return event.name == "Transfer" and event.contract == "dcmx-token"
    args = event.args
    if args.keys() != {"from", "to", "value"} or not all(isinstance(value, str) for value in args.values()):
        return False
    return args["value"].isdecimal() and all(args[end] == ZERO or accounts_in([args[end]]) for end in ("from", "to"))


class TokenBalances(Projection):
    """DCMX of every account, and the supply; also of every contract that was added and logs the transfers of TRC-20.

    Sums, so that it doesn't matter when the past was read, or a raw log decoded.
    """

    name = "token_balances"
    totals = (token_balances, token_supply)

    @on(ContractEvent)
    def moved(self, event: ContractEvent, recorded: RecordedEvent, rows: Rows) -> None:
        if _is_of_token(event):
            self._move(event, rows)

    @on(LogDecoded)
    def moved_as_we_know_now(self, event: LogDecoded, recorded: RecordedEvent, rows: Rows) -> None:
        if _is_of_token(event):
            self._move(event, rows)

    def _move(self, event: ContractEvent | LogDecoded, rows: Rows) -> None:
        payer, payee, value = event.args["from"], event.args["to"], int(event.args["value"])
        minted = value if payer == ZERO else 0
        burned = value if payee == ZERO else 0
        if payer != ZERO:
            rows.increment(token_balances, {"address": payer, "contract": event.contract}, balance=-value)
        if payee != ZERO:
            rows.increment(token_balances, {"address": payee, "contract": event.contract}, balance=value)
        if minted or burned:
            supply = {"contract": event.contract}
            rows.increment(token_supply, supply, supply=minted - burned, minted=minted, burned=burned)
