"""Wallets that a subject has proven to be its own."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from compliance import domain, handlers, projections, queries
from compliance.api.common import Owner, Subject, asking
from contracts.values import Address, SubjectId
from service import After, Commands, IdempotencyKey, Queries, Recorded, Router, Strict, Tagged, may_act_for, may_see
from tron.messages import message_signer

Nonce = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Signature = Annotated[str, Field(pattern=r"^(0x)?[0-9a-f]{130}$", description="65 bytes (r, s, v) in hex")]


class Claim(Strict):
    """A subject says that a wallet is its own."""

    subject: SubjectId
    address: Address


class Challenge(BaseModel):
    """What the wallet has to sign (TIP-191, `signMessageV2` of TronWeb), and until when."""

    message: str
    nonce: str
    expires_at: datetime


class Proof(Claim):
    """The signature of the challenge with this nonce. A wallet that is somebody else's changes hands by it."""

    nonce: Nonce
    signature: Signature


class LinkedWallet(BaseModel):
    address: str
    subject: str
    linked_at: datetime


def routes(commands: Commands, reads: Queries, site: str) -> Router:
    router = Router(route_class=Tagged)

    @router.post("/wallets/challenges", summary="Ask for the text with which a wallet is proven")
    async def challenge_wallet(body: Claim, caller: Subject, key: IdempotencyKey) -> Challenge:
        may_act_for(caller, body.subject)
        async with asking(commands, "challenge-wallet", body.subject, caller, key) as ask:
            challenge = domain.WalletChallenged(body.address, body.subject, secrets.token_hex(16), site, ask.at)
            await commands.execute([handlers.wallet(challenge, ask.at, ask.metadata)])
        return Challenge(message=challenge.text, nonce=challenge.nonce, expires_at=challenge.expires_at)

    @router.post("/wallets", summary="Prove a wallet by its signature")
    async def prove_wallet(body: Proof, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "prove-wallet", body.subject, caller, key) as ask:
            wallet = await commands.state(handlers.wallet_stream(body.address), domain.wallet)
            signer = _signer(wallet.challenges.get(body.subject), body)
            command = domain.ProveWallet(body.address, body.subject, body.nonce, body.signature, signer, ask.at)
            return await commands.execute([handlers.wallet(command, ask.at, ask.metadata)])

    @router.post("/wallets/unlink", summary="Give up a wallet")
    async def unlink_wallet(body: Claim, caller: Subject, key: IdempotencyKey) -> Recorded:
        may_act_for(caller, body.subject)
        async with asking(commands, "unlink-wallet", body.subject, caller, key) as ask:
            command = domain.UnlinkWallet(body.address, body.subject)
            return await commands.execute([handlers.wallet(command, ask.at, ask.metadata)])

    @router.get("/subjects/{subject}/wallets", summary="The wallets that a subject has proven")
    async def list_wallets(subject: SubjectId, caller: Owner, after: After) -> list[LinkedWallet]:
        may_see(caller, subject)
        await reads.caught_up(after, projections.Wallets)
        return [LinkedWallet(**row) for row in await reads.all(queries.wallets_of(subject))]

    return router


def _signer(challenge: domain.WalletChallenged | None, proof: Proof) -> str | None:
    """Whose key signed the text of the challenge; None if there is no such challenge, or if that is no signature."""
    if challenge is None or challenge.nonce != proof.nonce:
        return None
    try:
        return message_signer(challenge.text, proof.signature)
    except ValueError:
        return None
