// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";
import {IERC2981} from "@openzeppelin/contracts/interfaces/IERC2981.sol";
import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {ERC721Utils} from "@openzeppelin/contracts/token/ERC721/utils/ERC721Utils.sol";
import {Administered} from "./Administered.sol";
import {IRoyaltyDistributor} from "./IRoyaltyDistributor.sol";
import {PullPayments} from "./PullPayments.sol";

/// @notice TRC-721's name for the receiver hook (TIP-721); ERC-721 calls it onERC721Received.
interface ITRC721Receiver {
    function onTRC721Received(address operator, address from, uint256 tokenId, bytes calldata data)
        external
        returns (bytes4);
}

/// @title MusicNFT, numbered editions of music tracks (TRC-721) with a market and ERC-2981 royalties
/// @notice Token 7000042 is edition 42 of track 7. Prices are sun; a price of 0 means "not for sale".
/// Sales pay the RoyaltyDistributor; a seller's proceeds wait to be withdrawn. Unaudited.
contract MusicNFT is Administered, ERC721, PullPayments, IERC2981 {
    struct Track {
        address artist;
        uint32 maxEditions;
        uint32 minted;
        uint16 royaltyBps;
        uint256 priceSun;
        bytes32 contentHash;
        string title;
        string artistName;
    }

    /// @notice May release tracks.
    bytes32 public constant ARTIST_ROLE = keccak256("ARTIST_ROLE");
    /// @notice tokenId = trackId * EDITION_BASE + edition.
    uint256 public constant EDITION_BASE = 1_000_000;
    /// @notice Highest royalty: half of the price.
    uint96 public constant MAX_ROYALTY_BPS = 5_000;
    /// @notice Longest title and artist name, in bytes.
    uint256 public constant MAX_NAME_BYTES = 256;

    uint256 private constant BPS = 10_000;
    uint8 private constant PRIMARY = 0;
    uint8 private constant SECONDARY = 1;

    /// @notice Where the money of sales goes.
    IRoyaltyDistributor public immutable distributor;
    /// @notice Tracks so far, which is also the last track's number.
    uint256 public trackCount;
    /// @notice Price in sun that the token is offered for by its owner; 0 if it isn't.
    mapping(uint256 tokenId => uint256 priceSun) public listings;

    mapping(uint256 trackId => Track) private _tracks;
    mapping(uint256 tokenId => uint16 bpsAndOne) private _tokenRoyalties; // 0: the track's royalty holds

    event TrackReleased(
        uint256 indexed trackId,
        address indexed artist,
        string title,
        string artistName,
        bytes32 contentHash,
        uint32 maxEditions,
        uint256 priceSun,
        uint96 royaltyBps
    );
    event EditionMinted(uint256 indexed tokenId, uint256 indexed trackId, address indexed to, uint32 edition);
    event PrimarySale(
        uint256 indexed tokenId, uint256 indexed trackId, address indexed buyer, address artist, uint256 priceSun
    );
    event Listed(uint256 indexed tokenId, address indexed seller, uint256 priceSun);
    /// @notice The offer ended without a sale: cancelled, or the token was transferred.
    event ListingCancelled(uint256 indexed tokenId);
    event SecondarySale(
        uint256 indexed tokenId,
        uint256 indexed trackId,
        address indexed buyer,
        address seller,
        uint256 priceSun,
        address royaltyReceiver,
        uint256 royaltySun
    );
    event TokenRoyaltySet(uint256 indexed tokenId, uint96 royaltyBps);
    event PriceChanged(uint256 indexed trackId, uint256 oldPriceSun, uint256 newPriceSun);

    error UnknownTrack(uint256 trackId);
    error NotArtist(uint256 trackId, address caller);
    error NotTokenOwner(uint256 tokenId, address caller);
    error InvalidName(uint256 lengthBytes);
    error ZeroContentHash();
    error EditionsOutOfRange(uint32 maxEditions);
    error RoyaltyTooHigh(uint96 royaltyBps);
    error SoldOut(uint256 trackId, uint32 maxEditions);
    error NotForSale(uint256 id);
    error WrongPayment(uint256 expectedSun, uint256 gotSun);
    error BuyerIsSeller(uint256 tokenId);
    error ZeroPrice();

    /// @param admin administrator. @param distributor_ a RoyaltyDistributor at which this contract is registrar.
    constructor(address admin, IRoyaltyDistributor distributor_)
        ERC721("DCMX Music", "DCMXM")
        Administered(admin)
    {
        _requireAddress(address(distributor_));
        distributor = distributor_;
    }

    // --- artists --------------------------------------------------------------------------------------------------

    /// @notice Releases a track, of which up to `maxEditions` (1 to 999,999) editions can be minted.
    /// @param contentHash hash of the recording. @param priceSun price of an edition; 0: not for sale.
    /// @param royaltyBps part of each resale in basis points, <= 5,000.
    /// @return trackId number of the track, counted from 1. The caller also controls its royalty split.
    function releaseTrack(
        string calldata title,
        string calldata artistName,
        bytes32 contentHash,
        uint32 maxEditions,
        uint256 priceSun,
        uint96 royaltyBps
    ) external onlyRole(ARTIST_ROLE) whenNotPaused returns (uint256 trackId) {
        _requireName(title);
        _requireName(artistName);
        if (contentHash == 0) revert ZeroContentHash();
        if (maxEditions == 0 || maxEditions >= EDITION_BASE) revert EditionsOutOfRange(maxEditions);
        if (royaltyBps > MAX_ROYALTY_BPS) revert RoyaltyTooHigh(royaltyBps);

        trackId = ++trackCount;
        Track storage track = _tracks[trackId];
        track.artist = msg.sender;
        track.maxEditions = maxEditions;
        track.royaltyBps = uint16(royaltyBps); // <= 5,000
        track.priceSun = priceSun;
        track.contentHash = contentHash;
        track.title = title;
        track.artistName = artistName;
        emit TrackReleased(
            trackId, msg.sender, title, artistName, contentHash, maxEditions, priceSun, royaltyBps
        );
        distributor.registerTrack(trackId, msg.sender);
    }

    /// @notice Gives away the next edition; only the artist.
    function mintEdition(uint256 trackId, address to) external whenNotPaused returns (uint256 tokenId) {
        return _mintNext(trackId, _ownTrack(trackId), to);
    }

    /// @notice Changes the price of editions not yet sold; only the artist. 0 takes the track off sale.
    function setPrice(uint256 trackId, uint256 priceSun) external {
        Track storage track = _ownTrack(trackId);
        emit PriceChanged(trackId, track.priceSun, priceSun);
        track.priceSun = priceSun;
    }

    /// @notice Lowers the royalty of one edition below its track's; only the artist.
    /// @dev Never raises it: whoever bought the edition relied on what it was.
    /// @param royaltyBps part of each resale from now on in basis points, at most what it is.
    function setTokenRoyalty(uint256 tokenId, uint96 royaltyBps) external {
        _ownTrack(tokenId / EDITION_BASE);
        _requireOwned(tokenId);
        if (royaltyBps > _royaltyBps(tokenId)) revert RoyaltyTooHigh(royaltyBps);
        _tokenRoyalties[tokenId] = uint16(royaltyBps) + 1; // <= 5,001
        emit TokenRoyaltySet(tokenId, royaltyBps);
    }

    // --- market ---------------------------------------------------------------------------------------------------

    /// @notice Buys the next edition for exactly its price, which goes to the RoyaltyDistributor.
    function buyEdition(uint256 trackId) external payable whenNotPaused returns (uint256 tokenId) {
        Track storage track = _tracks[trackId];
        address artist = track.artist;
        if (artist == address(0)) revert UnknownTrack(trackId);
        uint256 priceSun = track.priceSun;
        if (priceSun == 0) revert NotForSale(trackId);
        _requirePayment(priceSun);
        tokenId = _mintNext(trackId, track, msg.sender);
        emit PrimarySale(tokenId, trackId, msg.sender, artist, priceSun);
        distributor.pay{value: priceSun}(trackId, PRIMARY);
    }

    /// @notice Offers one's token; offering it again replaces the price. Any transfer ends the offer.
    function list(uint256 tokenId, uint256 priceSun) external whenNotPaused {
        _requireTokenOwner(tokenId);
        if (priceSun == 0) revert ZeroPrice();
        listings[tokenId] = priceSun;
        emit Listed(tokenId, msg.sender, priceSun);
    }

    /// @notice Takes the offer back.
    function cancelListing(uint256 tokenId) external {
        _requireTokenOwner(tokenId);
        if (listings[tokenId] == 0) revert NotForSale(tokenId);
        _endListing(tokenId);
    }

    /// @notice Buys an offered token for exactly its price: royalty to the RoyaltyDistributor, the rest to the seller.
    function buy(uint256 tokenId) external payable whenNotPaused {
        uint256 priceSun = listings[tokenId];
        if (priceSun == 0) revert NotForSale(tokenId);
        _requirePayment(priceSun);
        address seller = _ownerOf(tokenId);
        if (seller == msg.sender) revert BuyerIsSeller(tokenId);
        uint256 trackId = tokenId / EDITION_BASE;
        (address receiver, uint256 royaltySun) = royaltyInfo(tokenId, priceSun);

        delete listings[tokenId]; // a sale is not a cancellation: no ListingCancelled
        _transfer(seller, msg.sender, tokenId);
        _credit(seller, priceSun - royaltySun);
        emit SecondarySale(tokenId, trackId, msg.sender, seller, priceSun, receiver, royaltySun);
        if (royaltySun > 0) distributor.pay{value: royaltySun}(trackId, SECONDARY);
    }

    // --- views ----------------------------------------------------------------------------------------------------

    /// @notice All about a track, including how many editions were minted.
    function trackOf(uint256 trackId) external view returns (Track memory track) {
        track = _tracks[trackId];
        if (track.artist == address(0)) revert UnknownTrack(trackId);
    }

    /// @inheritdoc IERC2981
    /// @dev An edition's own royalty overrides its track's. Rounds down. Other markets should call `distributor.pay`,
    /// which knows the track; the distributor refuses a bare transfer.
    function royaltyInfo(uint256 tokenId, uint256 salePrice)
        public
        view
        returns (address receiver, uint256 royaltyAmount)
    {
        return (address(distributor), (salePrice * _royaltyBps(tokenId)) / BPS);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId)
        public
        view
        override(AccessControl, ERC721, IERC165)
        returns (bool)
    {
        return interfaceId == type(IERC2981).interfaceId || super.supportsInterface(interfaceId);
    }

    // --- transfers ------------------------------------------------------------------------------------------------

    /// @notice As in ERC-721; a receiving contract may answer by TRC-721's hook or by ERC-721's.
    function safeTransferFrom(address from, address to, uint256 tokenId, bytes memory data) public override {
        transferFrom(from, to, tokenId);
        if (to.code.length == 0) return;
        try ITRC721Receiver(to).onTRC721Received(_msgSender(), from, tokenId, data) returns (bytes4 answer) {
            if (answer == ITRC721Receiver.onTRC721Received.selector) return;
        } catch {} // no such hook, or refused: ERC-721's hook decides
        ERC721Utils.checkOnERC721Received(_msgSender(), from, to, tokenId, data);
    }

    /// @dev An offer belongs to the owner who made it.
    function _update(address to, uint256 tokenId, address auth) internal override returns (address from) {
        from = super._update(to, tokenId, auth);
        if (from != address(0) && listings[tokenId] != 0) _endListing(tokenId);
    }

    // --- internals ------------------------------------------------------------------------------------------------

    /// @dev No receiver hook: buyers asked for the token, and a hook would hand control to them mid-sale.
    function _mintNext(uint256 trackId, Track storage track, address to) private returns (uint256 tokenId) {
        uint32 edition = track.minted;
        if (edition == track.maxEditions) revert SoldOut(trackId, edition);
        track.minted = ++edition;
        tokenId = trackId * EDITION_BASE + edition;
        _mint(to, tokenId);
        emit EditionMinted(tokenId, trackId, to, edition);
    }

    function _royaltyBps(uint256 tokenId) private view returns (uint256) {
        uint256 own = _tokenRoyalties[tokenId];
        return own > 0 ? own - 1 : _tracks[tokenId / EDITION_BASE].royaltyBps;
    }

    function _endListing(uint256 tokenId) private {
        delete listings[tokenId];
        emit ListingCancelled(tokenId);
    }

    function _ownTrack(uint256 trackId) private view returns (Track storage track) {
        track = _tracks[trackId];
        if (track.artist == address(0)) revert UnknownTrack(trackId);
        if (track.artist != msg.sender) revert NotArtist(trackId, msg.sender);
    }

    function _requireTokenOwner(uint256 tokenId) private view {
        if (_requireOwned(tokenId) != msg.sender) revert NotTokenOwner(tokenId, msg.sender);
    }

    function _requirePayment(uint256 expectedSun) private view {
        if (msg.value != expectedSun) revert WrongPayment(expectedSun, msg.value);
    }

    function _requireName(string calldata name_) private pure {
        uint256 length = bytes(name_).length;
        if (length == 0 || length > MAX_NAME_BYTES) revert InvalidName(length);
    }
}
