"""The chain: accepts transactions, makes blocks, reorganises the unsolidified ones. One thread, no locks.

A transaction is executed when it is broadcast, in the block that is open; making a block seals what was executed.
So a read at the head sees it at once, as on a real node, and a block costs little when its time comes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from devnet.archive import Archive
from devnet.blocks import Block, Held, allocations, genesis, seal
from devnet.evm import Outcome, VirtualMachine
from devnet.executor import Executor, Refused, invalid
from devnet.keys import Account as ProducerKey
from devnet.keys import producers, recover, to_base58
from devnet.proto import Dict
from devnet.settings import MAX_EXPIRATION_MS, MAX_TRANSACTION_BYTES, Settings
from devnet.state import Account, State
from devnet.transactions import Transaction

_PERMISSIONS = (0, 2)  # owner, and the one active permission that every account begins with


def wall_clock_ms() -> int:
    """Returns milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class View:
    """How a node sees the chain: late, or stuck `at` a height; with a wrong clock; its newest blocks others."""

    behind: int = 0
    at: int | None = None
    skew_ms: int = 0
    forked: int = 0


TRUE = View()


@dataclass(frozen=True, slots=True)
class Saved:
    """A chain at rest: all there is to go on with it (`snapshot` keeps it in a file)."""

    blocks: list[Block]
    places: dict[bytes, tuple[int, int]]
    offset_ms: int
    fork: int
    state: Dict


class Chain:
    """One chain from its genesis. All methods are synchronous and run in one thread."""

    def __init__(
        self, settings: Settings, clock: Callable[[], int] = wall_clock_ms, saved: Saved | None = None
    ) -> None:
        """Begins a chain, or goes on with a saved one, whose blocks can no longer be reorganised."""
        self.settings = settings
        self.block_time = settings.block_time
        self._clock = clock
        self._offset_ms = 0
        self._moved_ms = 0  # of it, what was moved on purpose
        self._fork = 0
        first = genesis(settings)
        self.chain_id = int.from_bytes(first.id[-4:], "big")
        self.vm = VirtualMachine(self.chain_id)
        self.state = State(self.vm)
        self.blocks = [first]
        self.places = {transaction.id: (0, transaction.index) for transaction in first.transactions}
        """Block number and index of every mined transaction."""
        self.pending: dict[bytes, Transaction] = {}
        self._executor = Executor(self.state, settings)
        self._open_timestamp: int | None = None
        self._archive = Archive()
        self._view = TRUE
        self._branch: dict[int, tuple[tuple[bytes, bytes], Block]] = {}
        """The blocks of `View.forked` by height, and the ids of the block that each stands for and of its parent."""
        if saved is None:
            self._allocate()
        else:
            self.blocks, self.places = saved.blocks, saved.places
            self._offset_ms = self._moved_ms = saved.offset_ms
            self._fork = saved.fork
            self.state.load(saved.state)
        self._undo = self.state.begin()

    def _allocate(self) -> None:
        for name, address, balance in allocations(self.settings):
            self.state.credit(address, balance, 0)
            self.state.accounts[address].created_ms = None
            self.state.accounts[address].name = name

    def saved(self) -> Saved:
        """Returns the chain as it stands, after sealing the open block if there is anything in it."""
        if self.pending:
            self.mine()
        return Saved(list(self.blocks), dict(self.places), self._offset_ms, self._fork, self.state.dump())

    # ── reading ─────────────────────────────────────────────────────────────

    @contextmanager
    def seen(self, view: View) -> Iterator[None]:
        """Shows the chain as `view` says to whoever reads inside; what is broadcast there reaches the true one."""
        self._view = view
        try:
            yield
        finally:
            self._view = TRUE

    @property
    def tip(self) -> Block:
        """The newest block there is."""
        return self.blocks[-1]

    @property
    def _newest(self) -> int:
        stuck = self.tip.number if self._view.at is None else self._view.at
        return max(0, min(stuck, self.tip.number - self._view.behind))

    @property
    def head(self) -> Block:
        """The newest block that is seen."""
        block = self.block(self._newest)
        assert block is not None
        return block

    @property
    def solid_number(self) -> int:
        """The height below and at which nothing is ever reorganised."""
        return max(0, self._newest - self.settings.solid_distance)

    def block(self, number: int, solid: bool = False) -> Block | None:
        """Returns the block at a height, None above the head (or above the solidified height)."""
        newest = self._newest
        if not 0 <= number <= (self.solid_number if solid else newest):
            return None
        return self._on_branch(number) if 0 < number > newest - self._view.forked else self.blocks[number]

    def block_by_id(self, identity: bytes, solid: bool = False) -> Block | None:
        """Returns the block with this id if it is on the chain."""
        block = self.block(int.from_bytes(identity[:8], "big"), solid)
        return block if block is not None and block.id == identity else None

    def _on_branch(self, number: int) -> Block:
        """The block of another producer at this height, with the same transactions: its id is true to its header."""
        true, parent = self.blocks[number], self.block(number - 1)
        assert parent is not None
        made = self._branch.get(number)
        if made is None or made[0] != (true.id, parent.id):
            keys = producers(self.settings.producers)
            other = next(index for index, one in enumerate(keys) if one.raw_address == true.witness) + 1
            block = seal(number, parent.id, true.timestamp, keys[other % len(keys)], true.transactions)
            made = ((true.id, parent.id), block)
            young = {height: one for height, one in self._branch.items() if height > number - self._view.forked}
            self._branch = {**young, number: made}
        return made[1]

    def transaction(self, identity: bytes, solid: bool = False) -> Transaction | None:
        """Returns a mined transaction; a pending one is not found, as on a node."""
        number, index = self.places.get(identity, (-1, 0))
        block = self.block(number, solid)
        return block.transactions[index] if block is not None else None

    def account(self, address: bytes, solid: bool = False) -> Account | None:
        """Returns the account now, or as it was at the solidified height; a view far behind sees a younger state."""
        if solid or self._newest < self.tip.number:
            for block in self.blocks[self.solid_number + 1 if solid else self.head.number + 1 :]:
                if block.undo is not None and address in block.undo.accounts:
                    return block.undo.accounts[address]
            if address in self._undo.accounts:
                return self._undo.accounts[address]
        return self.state.accounts.get(address)

    def now_ms(self) -> int:
        """Returns the chain's clock: real time plus what `advance` added."""
        return max(self._clock() + self._offset_ms, self.tip.timestamp)

    # ── transactions ────────────────────────────────────────────────────────

    def broadcast(self, transaction: Transaction, signed_here: bool = False) -> None:
        """Checks and executes a signed transaction in the open block; a signature made here is not checked again.

        Raises:
            Refused: with java-tron's code and message; nothing has changed.
        """
        if transaction.id in self.pending or transaction.id in self.places:
            raise Refused("DUP_TRANSACTION_ERROR", "Dup transaction.")
        if not signed_here:
            self._check_signatures(transaction)
        self._check_reference(transaction)
        if transaction.size > MAX_TRANSACTION_BYTES:
            raise Refused("TOO_BIG_TRANSACTION_ERROR", "Transaction size is too big.")
        expiration = transaction.fields.get("expiration", 0)
        now = self.client_time_ms()
        if expiration <= now or expiration > now + MAX_EXPIRATION_MS:
            raise Refused("TRANSACTION_EXPIRATION_ERROR", "Transaction expired")
        if expiration > now - self._view.skew_ms:  # else a node with a slow clock takes it, and no producer does
            self._execute(transaction)

    def client_time_ms(self) -> int:
        """Returns the time by which expiries are judged: the chain's without what was moved on purpose.

        So clients that have the real time can go on after that. As long as nothing was moved, no block holds a
        transaction that had expired by the time of the block before, as on a real network.
        """
        return self.now_ms() - self._moved_ms + self._view.skew_ms

    def _check_signatures(self, transaction: Transaction) -> None:
        def refuse(reason: str) -> Refused:
            return Refused("SIGERROR", f"Validate signature error: {reason}")

        owner = transaction.owner
        if owner not in self.state.accounts:
            raise invalid(f"account [{to_base58(owner)}] does not exist")
        if not transaction.signatures:
            raise refuse("miss sig or contract")
        if transaction.permission_id not in _PERMISSIONS:
            raise refuse("permission isn't exit")
        if len(transaction.signatures) > 1:
            raise refuse(f"Signature count is {len(transaction.signatures)} more than key counts of permission : 1")
        signature = transaction.signatures[0]
        try:
            signer = recover(signature, transaction.id)
        except ValueError as error:
            raise refuse(f"java.lang.IllegalArgumentException: {error}") from error
        if signer != owner:
            text = f"{signature.hex()} is signed by {to_base58(signer)} but it is not contained of permission."
            raise refuse(text)

    def _check_reference(self, transaction: Transaction) -> None:
        """The transaction must name one of the last 65,536 blocks of this very chain ("TaPoS")."""
        low = int.from_bytes(transaction.fields.get("ref_block_bytes", b""), "big")
        number = self.tip.number - (self.tip.number - low) % 65536
        if number < 0 or self.blocks[number].id[8:16] != transaction.fields.get("ref_block_hash"):
            raise Refused("TAPOS_ERROR", "Tapos check error.")

    def _execute(self, transaction: Transaction) -> None:
        timestamp = self._open()
        self._executor.execute(transaction, timestamp)
        self.pending[transaction.id] = transaction

    def simulate(self, caller: bytes, to: bytes, data: bytes, value: int, energy_limit: int | None = None) -> Outcome:
        """Runs a call on the newest state and undoes it.

        Raises:
            Refused: there is no such contract, or the caller does not have `value`.
        """
        if to not in self.state.contracts:
            raise Refused("CONTRACT_VALIDATE_ERROR", "Smart contract is not exist.")
        return self._simulated(caller, value, lambda limit: self.vm.call(caller, to, data, value, limit), energy_limit)

    def simulate_creation(self, owner: bytes, address: bytes, code: bytes, value: int) -> Outcome:
        """Runs a constructor on the newest state and undoes it.

        Raises:
            Refused: the owner does not have `value`.
        """
        outcome = self._simulated(owner, value, lambda limit: self.vm.deploy(owner, address, code, value, limit), None)
        self.vm.remove_code(address)
        return outcome

    def _simulated(self, caller: bytes, value: int, run: Callable[[int], Outcome], limit: int | None) -> Outcome:
        account = self.state.accounts.get(caller)
        if value < 0 or value > (account.balance if account else 0):
            raise invalid("Validate InternalTransfer error, balance is not sufficient.")
        if not self.pending:
            self.vm.set_block(self.tip.number + 1, self._next_timestamp(), self._producer().raw_address)
        mark = self.vm.checkpoint()
        outcome = run(self.settings.constant_energy_limit if limit is None else limit)
        self.vm.rollback(mark)
        return outcome

    # ── blocks ──────────────────────────────────────────────────────────────

    def _slot_ms(self) -> int:
        return 1 if self.block_time is None else max(1, int(self.block_time * 1000))

    def _next_timestamp(self) -> int:
        now, slot = self.now_ms(), self._slot_ms()
        return max(now // slot * slot, (self.tip.timestamp // slot + 1) * slot)

    def _producer(self) -> ProducerKey:
        keys = producers(self.settings.producers)
        return keys[(self.tip.number + 1 + self._fork) % len(keys)]

    def _open(self, timestamp: int | None = None) -> int:
        """Fixes time and producer of the next block when its first transaction comes; returns its time."""
        if self._open_timestamp is None:
            self._open_timestamp = self._next_timestamp() if timestamp is None else timestamp
            self.vm.set_block(self.tip.number + 1, self._open_timestamp, self._producer().raw_address)
        return self._open_timestamp

    def mine(self) -> Block:
        """Seals the open block, empty or not, and returns it."""
        timestamp = self._open()
        transactions = list(self.pending.values())
        number = self.tip.number + 1
        block = seal(number, self.tip.id, timestamp, self._producer(), transactions, self._undo)
        self.blocks.append(block)
        self.places.update((transaction.id, (number, transaction.index)) for transaction in transactions)
        self.pending = {}
        self._open_timestamp = None
        self._undo = self.state.begin()
        early = max(0, timestamp - self._clock() - self._offset_ms)
        self._offset_ms += early  # blocks made early move the clock
        self._moved_ms += early if self.block_time is not None else 0  # on demand a slot is a millisecond
        self._settle(number - max(self.settings.solid_distance, self.settings.forced_depth))
        return block

    def _settle(self, number: int) -> None:
        """Puts a block that nothing can reorganise any more on the disk."""
        if number > 0:
            block = self.blocks[number]
            block.undo = None
            if block.transactions and isinstance(block.contents, Held):
                block.contents = self._archive.keep(block)

    def due_in_seconds(self) -> float:
        """Returns how long the next block of a chain with an interval must wait."""
        timestamp = self._open_timestamp if self._open_timestamp is not None else self._next_timestamp()
        return max(0.0, (timestamp - self._clock() - self._offset_ms) / 1000)

    def advance(self, seconds: int) -> None:
        """Moves the chain's clock forward; transactions that clients time by the real clock stay valid."""
        self._offset_ms += seconds * 1000
        self._moved_ms += seconds * 1000

    def reorganise(self, depth: int, keep: bool, force: bool = False) -> list[Block]:
        """Replaces the newest `depth` blocks by `depth + 1` others and returns those.

        With `keep` their transactions enter the first new block, in order (those that are still valid);
        without, they are lost, as when they expire before a producer of the new branch has seen them.
        With `force` even solidified blocks go, as never on a real network: for a client that must sound an alarm.

        Raises:
            ValueError: a block to be replaced is solidified, or too old even for `force`.
        """
        most = next(index for index, block in enumerate(reversed(self.blocks)) if block.undo is None)
        what = "the blocks that can still be undone"
        if not force and most >= (unsolid := self.tip.number - self.solid_number):
            most, what = unsolid, "the unsolidified blocks"
        if not 1 <= depth <= most:
            raise ValueError(f"depth: expected 1 to {most} ({what}), got {depth}")
        gone, moved_ms = self.blocks[-depth:], self._moved_ms
        waiting = list(self.pending.values())
        self.state.rollback([self._undo, *(block.undo for block in reversed(gone) if block.undo is not None)])
        self._undo = self.state.undo
        del self.blocks[-depth:]
        for block in gone:
            for transaction in block.transactions:
                del self.places[transaction.id]
        self.pending, self._open_timestamp = {}, None
        self._fork += 1
        self._open(self.tip.timestamp + self._slot_ms())
        for transaction in [*(t for block in gone if keep for t in block.transactions), *waiting]:
            try:
                self._check_reference(transaction)
                self._execute(transaction)
            except Refused:
                continue  # not valid on this branch: it names a block that is gone, or the balance is missing
        blocks = []
        for _ in range(depth + 1):  # they take the slots of the blocks that are gone, and the next
            self._open(self.tip.timestamp + self._slot_ms())
            blocks.append(self.mine())
        self._moved_ms = moved_ms  # that there is one block more is the network's doing
        return blocks
