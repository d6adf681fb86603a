"""Who has what: balances, holders, NFTs and the tracks they are editions of."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from chain import queries
from chain.api import answers
from chain.api.answers import Listing, listing
from chain.api.parameters import Name, User
from chain.projections import Ingestion, NftOwners, TokenBalances, Tracks, TrxBalances
from contracts.values import Address, Amount, Uint256
from service import Paging, Queries, Router, Tagged, not_found
from service.queries import Row

Number = Annotated[str, Path(pattern=r"^[0-9]{1,78}$")]
EditionNumber = Annotated[int, Query(ge=0, lt=2**63)]
Words = Annotated[
    str, Query(min_length=1, max_length=200, description='in title or artist\'s name; "a phrase", or, -without')
]

DCMX = "dcmx-token"


def routes(reads: Queries) -> Router:
    """What accounts have, by account, by token, by track."""
    router = Router(route_class=Tagged)

    @router.get("/balances/{address}", summary="TRX, DCMX, other tokens and number of NFTs of an account")
    async def balances(caller: User, address: Address) -> answers.Balances:
        parts = {
            "trx": queries.trx_balance(address),
            "tokens": queries.token_balances(address),
            "nfts": queries.nft_count(address),
            "ingestion": queries.ingestion(),
        }
        found = await reads.first(queries.answer(TrxBalances, TokenBalances, NftOwners, Ingestion, **parts))
        trx, nfts, done = (next(iter(found[part]), Row()) for part in ("trx", "nfts", "ingestion"))
        tokens = {row["contract"]: row["balance"] for row in found["tokens"]}
        exact = done.get("scope") == "all" and done.get("first_block") == 0 and not trx.get("unaccounted")
        return answers.Balances(
            address=address,
            trx_sun=trx.get("balance_sun", 0) if exact else None,
            fees_sun=trx.get("fees_sun", 0),
            dcmx=tokens.pop(DCMX, 0),
            tokens=tokens,
            nfts=nfts.get("tokens", 0),
            as_of=found["as_of"],
        )

    @router.get("/token-holders", summary="Who holds a token, who has most first")
    async def list_holders(caller: User, paging: Paging, contract: Name = DCMX) -> answers.Holders:
        parts = {
            "items": queries.token_holders(contract, paging.after(Amount, str), paging.limit + 1),
            "count": queries.token_holder_count(contract),
            "supply": queries.token_supply(),
        }
        found = await reads.first(queries.answer(TokenBalances, **parts))
        holders = [answers.Holder(**row) for row in found["items"]]
        page = listing(paging, found, holders, lambda holder: (str(holder.balance), holder.address))
        supply = sum(row["supply"] for row in found["supply"] if row["contract"] == contract)
        return answers.Holders(**dict(page), holders=found["count"][0]["holders"], supply=supply)

    @router.get("/nfts", summary="The NFTs of an account, by token id")
    async def list_nfts(caller: User, paging: Paging, owner: Address) -> Listing[answers.Edition]:
        nfts = queries.nfts_of(owner, paging.after(Uint256), paging.limit + 1)
        found = await reads.first(queries.answer(NftOwners, nfts=nfts))
        shown = [answers.Edition(**row) for row in found["nfts"]]
        return listing(paging, found, shown, lambda nft: (str(nft.token_id),))

    @router.get("/nfts/{token_id}", summary="An NFT: its owner, track and edition")
    async def get_nft(caller: User, token_id: Number) -> answers.Nft:
        found = await reads.first(queries.answer(NftOwners, nfts=queries.nft(int(token_id))))
        for row in found["nfts"]:
            return answers.Nft(**row, as_of=found["as_of"])
        raise not_found("NFT", token_id)

    @router.get("/tracks", summary="Tracks, the latest first; a search in titles and artists' names")
    async def list_tracks(
        caller: User, paging: Paging, q: Words | None = None, artist: Address | None = None
    ) -> Listing[answers.TrackEntry]:
        tracks = queries.tracks(paging.after(Uint256), paging.limit + 1, words=q, artist=artist)
        found = await reads.first(queries.answer(Tracks, tracks=tracks))
        shown = [answers.TrackEntry(**row) for row in found["tracks"]]
        return listing(paging, found, shown, lambda track: (str(track.track_id),))

    @router.get("/tracks/{track_id}", summary="A track, its price and how many editions there are")
    async def get_track(caller: User, track_id: Number) -> answers.Track:
        tracks = queries.tracks(None, 1, track_id=int(track_id))
        found = await reads.first(queries.answer(Tracks, tracks=tracks))
        for row in found["tracks"]:
            return answers.Track(**row, as_of=found["as_of"])
        raise not_found("track", track_id)

    @router.get("/tracks/{track_id}/editions", summary="The editions of a track and whose they are, in order")
    async def list_editions(
        caller: User, paging: Paging, track_id: Number, edition: EditionNumber | None = None
    ) -> Listing[answers.Edition]:
        editions = queries.editions(int(track_id), edition, paging.after(EditionNumber), paging.limit + 1)
        found = await reads.first(queries.answer(NftOwners, editions=editions))
        shown = [answers.Edition(**row) for row in found["editions"]]
        return listing(paging, found, shown, lambda one: (one.edition,))

    return router
