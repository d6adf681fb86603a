"""The border: what others say becomes commands of our own, each with the stream it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from contracts import chain, operations
from contracts.chain import PaymentKind
from eventlog import Executor, Intent
from messaging import Committed, Handle, Received, TopicSpec, inbox, orders, wallets
from royalties import domain, reports
from royalties.distributing import intents
from royalties.domain.books import DISTRIBUTOR, MUSIC_NFT
from royalties.domain.track_events import TrackCommand
from royalties.recorder import Recorder

COMMANDS = TopicSpec("royalties.commands")
"""Keyed by the agreement: its sales keep their order, and a refund comes after its sale."""
TOPICS = (
    "chain.music-nft", "chain.operations", "chain.royalty-distributor",
    COMMANDS.name, orders.ORDERS.name, wallets.TOPIC.name,
)  # fmt: skip
IGNORED = (chain.NftTransfer, chain.EditionMinted)
"""A third of what the chain tells, and nothing of it concerns money."""


def handle_messages(executor: Executor, recorder: Recorder) -> Handle:
    """The handler of the consumer: sales of a batch are decided together, the chain's facts by the inbox."""
    others = inbox(translate, executor)

    async def handle(batch: Sequence[Received], connection: asyncpg.Connection) -> Committed | None:
        reported = [one for received in batch if (one := reports.commanded(received)) is not None]
        after = [await others([one for one in batch if one.topic != COMMANDS.name], connection)]
        if reported:
            after.append(await recorder.record_apart(reported, connection))

        def committed() -> None:
            for one in after:
                if one is not None:
                    one()

        return committed

    return handle


def translate(received: Received) -> Sequence[Intent]:
    """What a message of the chain means to us; nothing, for messages that move no money and set no split."""
    match received.message:
        case chain.PrimarySale() as sale:
            kind = PaymentKind.PRIMARY
            return [
                _of_token(
                    domain.RecordSale(
                        sale.token_id, sale.track_id, sale.artist, sale.buyer,
                        sale.price_sun, sale.price_sun, kind, sale.source,
                    )
                )
            ]  # fmt: skip
        case chain.SecondarySale() as sale:
            kind = PaymentKind.SECONDARY
            return [
                _of_token(
                    domain.RecordSale(
                        sale.token_id, sale.track_id, sale.seller, sale.buyer,
                        sale.price_sun, sale.royalty_sun, kind, sale.source,
                    )
                )
            ]  # fmt: skip
        case chain.SellerWithdrawn() as out:
            return [_of_account(domain.PostWithdrawal(out.account, MUSIC_NFT, out.amount_sun, out.source))]
        case chain.RoyaltyWithdrawn() as out:
            return [_of_account(domain.PostWithdrawal(out.account, DISTRIBUTOR, out.amount_sun, out.source))]
        case chain.PlatformFeeChanged() as fee:
            fact = domain.PlatformFeeSet(fee.old_bps, fee.new_bps, fee.source)
            return [Intent("platform", domain.platform, fact, fee.occurred_at)]
        case chain.FeeRecipientChanged() as change:
            named = domain.FeeRecipientSet(change.new_recipient, change.source)
            return [Intent("platform", domain.platform, named, change.occurred_at)]
        case operations.OperationSolidified() | operations.OperationFailed() | operations.OperationExpired() as told:
            return [intents.told(told, received.time or datetime.now(UTC))]
        case message:
            command = _track_command(message)
            return [*orders.ordered(received), *wallets.told(received)] if command is None else [_of_track(command)]


def _track_command(message: object) -> TrackCommand | None:
    match message:
        case chain.TrackReleased() as track:
            return domain.TrackRegistered(
                track.track_id, track.artist, track.title, track.artist_name, track.royalty_bps, track.source
            )
        case chain.SplitControlAccepted() as control:
            return domain.SplitControlAccepted(control.track_id, control.controller, control.source)
        case chain.SplitConfigured() as split:
            return domain.SetSplit(split.track_id, split.version, split.recipients, split.shares_ppm, split.source)
        case chain.PaymentReceived() as payment:
            return domain.PostPayment(
                payment.track_id, payment.payment_id, payment.payer, payment.kind,
                payment.amount_sun, payment.fee_sun, payment.split_version, payment.source,
            )  # fmt: skip
        case chain.RoyaltyCredited() as part:
            return domain.PostRoyalty(part.track_id, part.payment_id, part.recipient, part.amount_sun, part.source)
        case chain.CarrySettled() as part:
            return domain.SettleCarry(part.track_id, part.version, part.recipient, part.amount_sun, part.source)
        case _:
            return None


def _of_token(sale: domain.RecordSale) -> Intent:
    return Intent(f"token/{sale.token_id}", domain.token, sale, sale.source.block_time)


def _of_track(command: TrackCommand) -> Intent:
    return Intent(f"track/{command.track_id}", domain.track, command, command.source.block_time)


def _of_account(withdrawal: domain.PostWithdrawal) -> Intent:
    return Intent(f"account/{withdrawal.account}", domain.account, withdrawal, withdrawal.source.block_time)
