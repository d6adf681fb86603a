// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Administered} from "./Administered.sol";
import {IRoyaltyDistributor} from "./IRoyaltyDistributor.sol";
import {PullPayments} from "./PullPayments.sol";

/// @title RoyaltyDistributor, which divides payments for a track among its collaborators
/// @notice Amounts are sun. Of each payment the platform fee goes off first (rounded down), then every recipient is
/// credited by *cumulative floor*: with T the net total paid under this version of the split so far, a recipient has
/// been credited exactly floor(T * share / 1,000,000). Credits are never negative and never taken back; the dust
/// (less than one sun per recipient) is the version's carry, given out when the version closes. Unaudited.
contract RoyaltyDistributor is Administered, PullPayments, IRoyaltyDistributor {
    struct Share {
        address recipient;
        uint32 ppm;
    }

    struct Track {
        address controller;
        uint32 version; // 0: no split yet, the controller gets everything
        address pendingController;
    }

    struct Split {
        uint256 distributed; // net sun paid under this version so far
        Share[] shares;
    }

    /// @notice May register tracks: MusicNFT.
    bytes32 public constant REGISTRAR_ROLE = keccak256("REGISTRAR_ROLE");
    /// @notice Shares of a split sum to this.
    uint256 public constant SHARE_TOTAL_PPM = 1_000_000;
    /// @notice Most recipients of one split, so that a payment always fits into a transaction.
    uint256 public constant MAX_RECIPIENTS = 32;
    /// @notice Highest platform fee: 30 %.
    uint16 public constant MAX_FEE_BPS = 3_000;
    /// @notice Highest payment kind (0 primary sale, 1 secondary sale, 2 direct payment).
    uint8 public constant MAX_KIND = 2;

    uint256 private constant BPS = 10_000;

    // One storage slot: read and written together by every payment.
    /// @notice Account that the platform fee is credited to.
    address public feeRecipient;
    /// @notice Platform fee in basis points of a payment.
    uint16 public platformFeeBps;
    /// @notice Payments so far, which is also the last payment's number.
    uint64 public paymentCount;

    mapping(uint256 trackId => Track) private _tracks;
    mapping(uint256 trackId => mapping(uint32 version => Split)) private _splits;

    event SplitConfigured(
        uint256 indexed trackId, uint32 indexed version, address[] recipients, uint32[] sharesPpm
    );
    event SplitControlProposed(uint256 indexed trackId, address indexed from, address indexed to);
    /// @notice `controller` now controls the split: by accepting, or because the track was registered for it.
    event SplitControlAccepted(uint256 indexed trackId, address indexed controller);
    event PaymentReceived(
        uint256 indexed trackId,
        uint256 indexed paymentId,
        address indexed payer,
        uint8 kind,
        uint256 amountSun,
        uint256 feeSun,
        uint32 splitVersion
    );
    /// @notice A recipient's part of a payment; parts of zero have no event.
    event RoyaltyCredited(
        uint256 indexed trackId, uint256 indexed paymentId, address indexed recipient, uint256 amountSun
    );
    event CarrySettled(
        uint256 indexed trackId, uint32 indexed version, address indexed recipient, uint256 amountSun
    );
    event PlatformFeeChanged(uint16 oldBps, uint16 newBps);
    event FeeRecipientChanged(address indexed oldRecipient, address indexed newRecipient);

    error UnknownTrack(uint256 trackId);
    error TrackAlreadyRegistered(uint256 trackId);
    error NotController(uint256 trackId, address caller);
    error NotProposedController(uint256 trackId, address caller);
    error RecipientCountOutOfRange(uint256 count);
    error LengthMismatch(uint256 recipients, uint256 shares);
    error InvalidRecipient(address recipient);
    error DuplicateRecipient(address recipient);
    error ZeroShare(address recipient);
    error SharesDoNotSum(uint256 sumPpm);
    error FeeTooHigh(uint16 bps);
    error InvalidKind(uint8 kind);
    error ZeroAmount();

    /// @param admin administrator. @param feeRecipient_ gets the platform fee. @param feeBps basis points, <= 3,000.
    constructor(address admin, address feeRecipient_, uint16 feeBps) Administered(admin) {
        _setFeeRecipient(feeRecipient_);
        _setPlatformFee(feeBps);
    }

    // --- splits ---------------------------------------------------------------------------------------------------

    /// @inheritdoc IRoyaltyDistributor
    function registerTrack(uint256 trackId, address controller) external onlyRole(REGISTRAR_ROLE) {
        _requireAddress(controller);
        Track storage track = _tracks[trackId];
        if (track.controller != address(0)) revert TrackAlreadyRegistered(trackId);
        track.controller = controller;
        emit SplitControlAccepted(trackId, controller);
    }

    /// @notice Opens the next version of the track's split and closes the one before, settling its carry.
    /// @param recipients 2 to 32 different accounts. @param sharesPpm > 0 each, sum 1,000,000.
    /// @return version number of the new version, counted from 1.
    function configureSplit(uint256 trackId, address[] calldata recipients, uint32[] calldata sharesPpm)
        external
        whenNotPaused
        returns (uint32 version)
    {
        Track storage track = _controlled(trackId);
        _validate(recipients, sharesPpm);
        version = track.version;
        if (version > 0) _settleCarry(trackId, version);
        track.version = ++version;
        Share[] storage shares = _splits[trackId][version].shares;
        for (uint256 i = 0; i < recipients.length; ++i) shares.push(Share(recipients[i], sharesPpm[i]));
        emit SplitConfigured(trackId, version, recipients, sharesPpm);
    }

    /// @notice First step of handing over a split; zero withdraws a proposal.
    function proposeSplitControl(uint256 trackId, address to) external {
        _controlled(trackId).pendingController = to;
        emit SplitControlProposed(trackId, msg.sender, to);
    }

    /// @notice Second step, by the proposed account.
    function acceptSplitControl(uint256 trackId) external {
        Track storage track = _tracks[trackId];
        if (track.pendingController != msg.sender) revert NotProposedController(trackId, msg.sender);
        track.controller = msg.sender;
        track.pendingController = address(0);
        emit SplitControlAccepted(trackId, msg.sender);
    }

    // --- payments -------------------------------------------------------------------------------------------------

    /// @inheritdoc IRoyaltyDistributor
    /// @dev Makes no call to anyone: recipients fetch their credit with `withdraw`.
    function pay(uint256 trackId, uint8 kind) external payable whenNotPaused returns (uint256 paymentId) {
        if (msg.value == 0) revert ZeroAmount();
        if (kind > MAX_KIND) revert InvalidKind(kind);
        Track storage track = _tracks[trackId];
        address controller = track.controller;
        if (controller == address(0)) revert UnknownTrack(trackId);
        uint32 version = track.version;

        paymentId = ++paymentCount;
        uint256 feeSun = (msg.value * platformFeeBps) / BPS; // rounds down
        if (feeSun > 0) _credit(feeRecipient, feeSun);
        emit PaymentReceived(trackId, paymentId, msg.sender, kind, msg.value, feeSun, version);

        uint256 netSun = msg.value - feeSun;
        if (version == 0) _creditRoyalty(trackId, paymentId, controller, netSun);
        else _distribute(trackId, paymentId, version, netSun);
    }

    /// @notice Sets the platform fee of payments from now on. @param bps basis points, <= 3,000.
    function setPlatformFee(uint16 bps) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setPlatformFee(bps);
    }

    /// @notice Names who is credited the platform fee from now on.
    function setFeeRecipient(address recipient) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setFeeRecipient(recipient);
    }

    // --- views ----------------------------------------------------------------------------------------------------

    /// @notice Account that controls the split; zero for an unknown track.
    function controllerOf(uint256 trackId) external view returns (address) {
        return _tracks[trackId].controller;
    }

    /// @notice Account that control is offered to; zero if to nobody.
    function pendingControllerOf(uint256 trackId) external view returns (address) {
        return _tracks[trackId].pendingController;
    }

    /// @notice Version in force; 0 while the controller gets everything.
    function splitVersion(uint256 trackId) external view returns (uint32) {
        return _tracks[trackId].version;
    }

    /// @notice Recipients and shares of one version, current or closed.
    function splitOf(uint256 trackId, uint32 version)
        external
        view
        returns (address[] memory recipients, uint32[] memory sharesPpm)
    {
        Share[] memory shares = _splits[trackId][version].shares;
        recipients = new address[](shares.length);
        sharesPpm = new uint32[](shares.length);
        for (uint256 i = 0; i < shares.length; ++i) {
            (recipients[i], sharesPpm[i]) = (shares[i].recipient, shares[i].ppm);
        }
    }

    /// @notice Net sun paid under a version (version 0 keeps no total: it has no carry).
    function distributed(uint256 trackId, uint32 version) external view returns (uint256) {
        return _splits[trackId][version].distributed;
    }

    /// @notice Sun of the current version that wait to be given out; always less than the number of recipients.
    function carryOf(uint256 trackId) external view returns (uint256 carrySun) {
        (carrySun, ) = _carry(_splits[trackId][_tracks[trackId].version]);
    }

    // --- internals ------------------------------------------------------------------------------------------------

    function _controlled(uint256 trackId) private view returns (Track storage track) {
        track = _tracks[trackId];
        if (track.controller == address(0)) revert UnknownTrack(trackId);
        if (track.controller != msg.sender) revert NotController(trackId, msg.sender);
    }

    function _validate(address[] calldata recipients, uint32[] calldata sharesPpm) private view {
        uint256 count = recipients.length;
        if (count < 2 || count > MAX_RECIPIENTS) revert RecipientCountOutOfRange(count);
        if (count != sharesPpm.length) revert LengthMismatch(count, sharesPpm.length);
        uint256 sumPpm;
        for (uint256 i = 0; i < count; ++i) {
            address recipient = recipients[i];
            if (recipient == address(0) || recipient == address(this)) revert InvalidRecipient(recipient);
            if (sharesPpm[i] == 0) revert ZeroShare(recipient);
            for (uint256 j = 0; j < i; ++j) if (recipients[j] == recipient) revert DuplicateRecipient(recipient);
            sumPpm += sharesPpm[i];
        }
        if (sumPpm != SHARE_TOTAL_PPM) revert SharesDoNotSum(sumPpm);
    }

    /// @dev What was credited before is a function of the total before, so only the total is stored.
    function _distribute(uint256 trackId, uint256 paymentId, uint32 version, uint256 netSun) private {
        Split storage split = _splits[trackId][version];
        uint256 before = split.distributed;
        uint256 total = before + netSun;
        split.distributed = total;
        uint256 count = split.shares.length;
        for (uint256 i = 0; i < count; ++i) {
            Share memory share = split.shares[i];
            uint256 amountSun = (total * share.ppm) / SHARE_TOTAL_PPM - (before * share.ppm) / SHARE_TOTAL_PPM;
            if (amountSun > 0) _creditRoyalty(trackId, paymentId, share.recipient, amountSun);
        }
    }

    function _creditRoyalty(uint256 trackId, uint256 paymentId, address recipient, uint256 amountSun) private {
        _credit(recipient, amountSun);
        emit RoyaltyCredited(trackId, paymentId, recipient, amountSun);
    }

    /// @dev The remainders T * share mod 1,000,000 sum to carry * 1,000,000; there are fewer sun than recipients, so
    /// each recipient gets at most one.
    function _carry(Split storage split) private view returns (uint256 carrySun, uint256[] memory remainders) {
        uint256 total = split.distributed;
        remainders = new uint256[](split.shares.length);
        for (uint256 i = 0; i < remainders.length; ++i) {
            remainders[i] = (total * split.shares[i].ppm) % SHARE_TOTAL_PPM;
            carrySun += remainders[i];
        }
        carrySun /= SHARE_TOTAL_PPM;
    }

    /// @dev One sun each to the largest remainders, ties to the lowest address.
    function _settleCarry(uint256 trackId, uint32 version) private {
        Split storage split = _splits[trackId][version];
        (uint256 carrySun, uint256[] memory remainders) = _carry(split);
        for (; carrySun > 0; --carrySun) {
            uint256 best;
            address recipient = split.shares[0].recipient;
            for (uint256 i = 1; i < remainders.length; ++i) {
                address candidate = split.shares[i].recipient;
                if (remainders[i] > remainders[best] || (remainders[i] == remainders[best] && candidate < recipient)) {
                    (best, recipient) = (i, candidate);
                }
            }
            remainders[best] = 0;
            _credit(recipient, 1);
            emit CarrySettled(trackId, version, recipient, 1);
        }
    }

    function _setPlatformFee(uint16 bps) private {
        if (bps > MAX_FEE_BPS) revert FeeTooHigh(bps);
        emit PlatformFeeChanged(platformFeeBps, bps);
        platformFeeBps = bps;
    }

    function _setFeeRecipient(address recipient) private {
        _requireAddress(recipient);
        emit FeeRecipientChanged(feeRecipient, recipient);
        feeRecipient = recipient;
    }
}
