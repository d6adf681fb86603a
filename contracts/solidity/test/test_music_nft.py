"""MusicNFT: releases, editions, primary and secondary sales, the market's listings, transfers."""

import pytest
from contract_evm import NOBODY, TRX, Attempts, Evm, account, hash_of, role

FIRST = 1_000_001  # edition 1 of track 1
PRICE, RESALE = 10 * TRX, 25 * TRX
SONG = hash_of("song")


@pytest.fixture
def alice(evm: Evm) -> str:
    return evm.listener("alice")


@pytest.fixture
def bob(evm: Evm) -> str:
    return evm.listener("bob")


@pytest.fixture
def owned(evm: Evm, track: int, alice: str) -> int:
    """Edition 1 of the track, owned by alice."""
    return int(evm.nft.buyEdition(track, sender=alice, value=PRICE).value)


# --- releases ---------------------------------------------------------------------------------------------------------


def test_a_release_is_on_the_record_and_known_to_the_distributor(evm: Evm, artist: str) -> None:
    receipt = evm.nft.releaseTrack("Song", "Artist", SONG, 3, PRICE, 1_000, sender=artist)
    assert receipt.value == 1
    assert receipt["TrackReleased"] == {
        "trackId": 1,
        "artist": artist,
        "title": "Song",
        "artistName": "Artist",
        "contentHash": SONG,
        "maxEditions": 3,
        "priceSun": PRICE,
        "royaltyBps": 1_000,
    }
    assert receipt["SplitControlAccepted"] == {"trackId": 1, "controller": artist}
    assert evm.royalties.controllerOf(1) == artist
    assert evm.nft.trackOf(1) == (artist, 3, 0, 1_000, PRICE, SONG, "Song", "Artist")
    assert evm.nft.releaseTrack("Song", "Artist", SONG, 1, 0, 0, sender=artist).value == evm.nft.trackCount() == 2


@pytest.mark.parametrize(
    ("release", "error", "arguments"),
    [
        (("", "A", SONG, 1, 1, 1), "InvalidName", (0,)),
        (("T", "", SONG, 1, 1, 1), "InvalidName", (0,)),
        (("x" * 257, "A", SONG, 1, 1, 1), "InvalidName", (257,)),
        (("T", "A", bytes(32), 1, 1, 1), "ZeroContentHash", ()),
        (("T", "A", SONG, 0, 1, 1), "EditionsOutOfRange", (0,)),
        (("T", "A", SONG, 1_000_000, 1, 1), "EditionsOutOfRange", (1_000_000,)),
        (("T", "A", SONG, 1, 1, 5_001), "RoyaltyTooHigh", (5_001,)),
    ],
)
def test_a_faulty_release_is_refused(
    evm: Evm, artist: str, release: tuple[object, ...], error: str, arguments: tuple[object, ...]
) -> None:
    with evm.reverts(error, *arguments):
        evm.nft.releaseTrack(*release, sender=artist)
    assert evm.nft.trackCount() == 0


def test_a_contract_that_is_not_registrar_cannot_release(evm: Evm, artist: str) -> None:
    evm.royalties.revokeRole(role("REGISTRAR_ROLE"), evm.nft.address)
    with evm.reverts("AccessControlUnauthorizedAccount", evm.nft.address, role("REGISTRAR_ROLE")):
        evm.nft.releaseTrack("T", "A", SONG, 1, 1, 1, sender=artist)


# --- primary sales ----------------------------------------------------------------------------------------------------


def test_buying_an_edition_pays_the_distributor_and_nobody_else(evm: Evm, track: int, artist: str, alice: str) -> None:
    receipt = evm.nft.buyEdition(track, sender=alice, value=PRICE)
    assert receipt.value == FIRST
    assert receipt["Transfer"] == {"from": NOBODY, "to": alice, "tokenId": FIRST}
    assert receipt["EditionMinted"] == {"tokenId": FIRST, "trackId": track, "to": alice, "edition": 1}
    sale = {"tokenId": FIRST, "trackId": track, "buyer": alice, "artist": artist, "priceSun": PRICE}
    assert receipt["PrimarySale"] == sale
    payment = receipt["PaymentReceived"]
    assert (payment["payer"], payment["kind"], payment["amountSun"]) == (evm.nft.address, 0, PRICE)
    assert evm.royalties.withdrawable(artist) == PRICE * 95 // 100
    assert evm.royalties.withdrawable(evm.platform) == PRICE * 5 // 100
    assert (evm.balance(evm.nft.address), evm.balance(evm.royalties.address)) == (0, PRICE)


def test_editions_are_numbered_and_run_out(evm: Evm, track: int, alice: str) -> None:
    bought = [evm.nft.buyEdition(track, sender=alice, value=PRICE).value for _ in range(3)]
    assert bought == [FIRST, FIRST + 1, FIRST + 2]
    with evm.reverts("SoldOut", track, 3):
        evm.nft.buyEdition(track, sender=alice, value=PRICE)
    assert evm.balance(evm.royalties.address) == 3 * PRICE


def test_only_the_exact_price_buys(evm: Evm, track: int, alice: str) -> None:
    for sent in (0, PRICE - 1, PRICE + 1):
        with evm.reverts("WrongPayment", PRICE, sent):
            evm.nft.buyEdition(track, sender=alice, value=sent)


def test_what_does_not_exist_or_has_no_price_cannot_be_bought(evm: Evm, track: int, artist: str, alice: str) -> None:
    with evm.reverts("UnknownTrack", 99):
        evm.nft.buyEdition(99, sender=alice)
    with evm.reverts("UnknownTrack", 99):
        evm.nft.trackOf(99)
    evm.nft.setPrice(track, 0, sender=artist)
    with evm.reverts("NotForSale", track):
        evm.nft.buyEdition(track, sender=alice)


def test_the_artist_alone_changes_the_price_and_gives_editions_away(
    evm: Evm, track: int, artist: str, alice: str
) -> None:
    changed = evm.nft.setPrice(track, 7, sender=artist)["PriceChanged"]
    assert changed == {"trackId": track, "oldPriceSun": PRICE, "newPriceSun": 7}
    assert evm.nft.mintEdition(track, alice, sender=artist)["EditionMinted"]["to"] == alice
    assert evm.nft.ownerOf(FIRST) == alice
    calls: Attempts = (
        lambda: evm.nft.setPrice(track, 1, sender=alice),
        lambda: evm.nft.mintEdition(track, alice, sender=alice),
    )
    for call in calls:
        with evm.reverts("NotArtist", track, alice):
            call()
    with evm.reverts("UnknownTrack", 9):
        evm.nft.setPrice(9, 1, sender=artist)
    with evm.reverts("ERC721InvalidReceiver", NOBODY):
        evm.nft.mintEdition(track, NOBODY, sender=artist)


# --- secondary sales --------------------------------------------------------------------------------------------------


def test_a_resale_pays_royalty_to_the_distributor_and_the_rest_to_the_seller(
    evm: Evm, track: int, owned: int, alice: str, bob: str
) -> None:
    assert evm.nft.list(owned, RESALE, sender=alice)["Listed"] == {
        "tokenId": owned,
        "seller": alice,
        "priceSun": RESALE,
    }
    royalties_before = evm.balance(evm.royalties.address)
    receipt = evm.nft.buy(owned, sender=bob, value=RESALE)
    royalty = RESALE // 10
    assert receipt["SecondarySale"] == {
        "tokenId": owned,
        "trackId": track,
        "buyer": bob,
        "seller": alice,
        "priceSun": RESALE,
        "royaltyReceiver": evm.royalties.address,
        "royaltySun": royalty,
    }
    assert not receipt.all("ListingCancelled")
    assert (receipt["PaymentReceived"]["kind"], receipt["PaymentReceived"]["amountSun"]) == (1, royalty)
    assert evm.balance(evm.royalties.address) - royalties_before == royalty
    assert evm.nft.ownerOf(owned) == bob
    before = evm.balance(alice)
    assert evm.nft.withdraw(sender=alice)["Withdrawn"] == {"account": alice, "amountSun": RESALE - royalty}
    assert evm.balance(alice) - before == RESALE - royalty
    assert evm.balance(evm.nft.address) == 0
    with evm.reverts("NotForSale", owned):
        evm.nft.buy(owned, sender=alice, value=RESALE)


@pytest.mark.parametrize(("price", "royalty"), [(1, 0), (9, 0), (10, 1), (19, 1), (25_000_001, 2_500_000)])
def test_royalty_rounds_down_and_a_royalty_of_nothing_is_no_payment(
    evm: Evm, owned: int, alice: str, bob: str, price: int, royalty: int
) -> None:
    assert evm.nft.royaltyInfo(owned, price) == (evm.royalties.address, royalty)
    evm.nft.list(owned, price, sender=alice)
    receipt = evm.nft.buy(owned, sender=bob, value=price)
    assert receipt["SecondarySale"]["royaltySun"] == royalty
    assert [payment["amountSun"] for payment in receipt.all("PaymentReceived")] == [royalty] * (royalty > 0)
    assert evm.nft.withdrawable(alice) == price - royalty


def test_the_artist_lowers_an_editions_royalty_and_never_raises_it(
    evm: Evm, owned: int, artist: str, alice: str, bob: str
) -> None:
    _, full = evm.nft.royaltyInfo(owned, RESALE)
    lowered = evm.nft.setTokenRoyalty(owned, 100, sender=artist)
    assert lowered["TokenRoyaltySet"] == {"tokenId": owned, "royaltyBps": 100}
    assert evm.nft.royaltyInfo(owned, RESALE) == (evm.royalties.address, RESALE // 100)
    assert evm.nft.royaltyInfo(owned + 1, RESALE)[1] == full, "other editions have the track's"
    with evm.reverts("RoyaltyTooHigh", 101):
        evm.nft.setTokenRoyalty(owned, 101, sender=artist)
    with evm.reverts("NotArtist", owned // 1_000_000, alice):
        evm.nft.setTokenRoyalty(owned, 0, sender=alice)
    with evm.reverts("ERC721NonexistentToken", owned + 999):
        evm.nft.setTokenRoyalty(owned + 999, 0, sender=artist)
    evm.nft.setTokenRoyalty(owned, 0, sender=artist)
    evm.nft.list(owned, RESALE, sender=alice)
    receipt = evm.nft.buy(owned, sender=bob, value=RESALE)
    assert (receipt["SecondarySale"]["royaltySun"], receipt.all("PaymentReceived")) == (0, [])
    assert evm.nft.withdrawable(alice) == RESALE


def test_only_the_owner_lists_and_cancels(evm: Evm, owned: int, alice: str, bob: str) -> None:
    with evm.reverts("NotTokenOwner", owned, bob):
        evm.nft.list(owned, 1, sender=bob)
    with evm.reverts("ZeroPrice"):
        evm.nft.list(owned, 0, sender=alice)
    with evm.reverts("NotForSale", owned):
        evm.nft.cancelListing(owned, sender=alice)
    evm.nft.list(owned, RESALE, sender=alice)
    with evm.reverts("NotTokenOwner", owned, bob):
        evm.nft.cancelListing(owned, sender=bob)
    assert evm.nft.cancelListing(owned, sender=alice)["ListingCancelled"] == {"tokenId": owned}
    with evm.reverts("NotForSale", owned):
        evm.nft.buy(owned, sender=bob, value=RESALE)
    with evm.reverts("ERC721NonexistentToken", 5):
        evm.nft.list(5, 1, sender=alice)


def test_listing_again_replaces_the_price(evm: Evm, owned: int, alice: str, bob: str) -> None:
    evm.nft.list(owned, RESALE, sender=alice)
    evm.nft.list(owned, RESALE * 2, sender=alice)
    with evm.reverts("WrongPayment", RESALE * 2, RESALE):
        evm.nft.buy(owned, sender=bob, value=RESALE)
    with evm.reverts("BuyerIsSeller", owned):
        evm.nft.buy(owned, sender=evm.rich(alice), value=RESALE * 2)


def test_a_transfer_ends_the_offer_even_if_the_token_comes_back(evm: Evm, owned: int, alice: str, bob: str) -> None:
    evm.nft.list(owned, 1, sender=alice)
    moved = evm.nft.transferFrom(alice, bob, owned, sender=alice)
    assert moved["ListingCancelled"] == {"tokenId": owned}
    evm.nft.transferFrom(bob, alice, owned, sender=bob)
    assert evm.nft.listings(owned) == 0
    with evm.reverts("NotForSale", owned):
        evm.nft.buy(owned, sender=bob, value=1)


# --- transfers and interfaces -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["onTRC721Received", "onERC721Received"])
def test_a_contract_that_knows_either_hook_receives_safely(evm: Evm, owned: int, alice: str, hook: str) -> None:
    receiver = evm.deploy("HookReceiver", hash_of(f"{hook}(address,address,uint256,bytes)")[:4])
    evm.nft.safeTransferFrom(alice, receiver.address, owned, b"hello", sender=alice)
    assert evm.nft.ownerOf(owned) == receiver.address


def test_a_contract_that_knows_no_hook_does_not_receive_safely(evm: Evm, owned: int, alice: str) -> None:
    deaf = evm.deploy("HookReceiver", b"\0\0\0\1").address
    with evm.reverts("Error", "no such hook"):
        evm.nft.safeTransferFrom(alice, deaf, owned, b"", sender=alice)
    with evm.reverts("Error", "no such hook"):
        evm.nft.safeTransferFrom(alice, deaf, owned, sender=alice)
    with evm.reverts("ERC721InvalidReceiver", evm.token.address):  # has no fallback at all
        evm.nft.safeTransferFrom(alice, evm.token.address, owned, sender=alice)
    assert evm.nft.ownerOf(owned) == alice


def test_a_stranger_moves_nothing_until_approved(evm: Evm, owned: int, alice: str, bob: str) -> None:
    with evm.reverts("ERC721InsufficientApproval", bob, owned):
        evm.nft.transferFrom(alice, bob, owned, sender=bob)
    evm.nft.approve(bob, owned, sender=alice)
    evm.nft.safeTransferFrom(alice, bob, owned, sender=bob)
    assert evm.nft.ownerOf(owned) == bob


def test_the_interfaces_of_the_standards_are_announced(evm: Evm) -> None:
    for interface in ("01ffc9a7", "80ac58cd", "5b5e139f", "2a55205a", "7965db0b"):  # 165, 721, metadata, 2981, roles
        assert evm.nft.supportsInterface(bytes.fromhex(interface))
    assert not evm.nft.supportsInterface(b"\xff\xff\xff\xff")


def test_pausing_stops_the_market_but_not_property(evm: Evm, track: int, artist: str, owned: int, bob: str) -> None:
    alice = account("alice")
    evm.nft.list(owned, RESALE, sender=alice)
    evm.nft.pause()
    calls: Attempts = (
        lambda: evm.nft.releaseTrack("T", "A", SONG, 1, 1, 1, sender=artist),
        lambda: evm.nft.mintEdition(track, bob, sender=artist),
        lambda: evm.nft.buyEdition(track, sender=bob, value=PRICE),
        lambda: evm.nft.list(owned, 1, sender=alice),
        lambda: evm.nft.buy(owned, sender=bob, value=RESALE),
    )
    for call in calls:
        with evm.reverts("EnforcedPause"):
            call()
    evm.nft.cancelListing(owned, sender=alice)
    evm.nft.transferFrom(alice, bob, owned, sender=alice)
    assert evm.nft.ownerOf(owned) == bob


def test_a_paused_distributor_stops_sales_whole(evm: Evm, track: int, alice: str) -> None:
    evm.royalties.pause()
    with evm.reverts("EnforcedPause"):
        evm.nft.buyEdition(track, sender=alice, value=PRICE)
    assert evm.nft.balanceOf(alice) == 0
    assert evm.nft.trackOf(track)[2] == 0  # no edition was used up
