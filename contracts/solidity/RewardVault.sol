// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Administered} from "./Administered.sol";

/// @title RewardVault, which pays rewards that the verifier has authorised
/// @notice Five pools: 0 sharing, 1 listening, 2 bandwidth, 3 voting, 4 referral. Each has a budget (what it was
/// funded with and has not paid) and a limit per account and UTC day. An authorisation is an EIP-712 signature that
/// binds claim, pool, claimant, amount, deadline, chain and vault; a claim id is paid once. Unaudited.
contract RewardVault is Administered, EIP712, ReentrancyGuard {
    using SafeERC20 for IERC20;

    struct Pool {
        uint120 budget;
        uint120 dailyLimit;
        bool active;
    }

    /// @notice Number of pools.
    uint8 public constant POOL_COUNT = 5;
    /// @notice EIP-712 type of an authorisation; the domain is ("RewardVault", "1", chain id, this contract).
    bytes32 public constant CLAIM_TYPEHASH =
        keccak256("Claim(bytes32 claimId,uint8 pool,address claimant,uint256 amount,uint256 deadline)");

    /// @notice The token that rewards are paid in.
    IERC20 public immutable token;
    /// @notice Account whose signature authorises claims.
    address public verifier;
    /// @notice Whether a claim id was paid.
    mapping(bytes32 claimId => bool) public claimed;
    /// @notice What an account has claimed from a pool on a day (days since 1970-01-01 UTC).
    mapping(uint8 pool => mapping(address account => mapping(uint64 day => uint256 amount))) public dailyClaimed;

    mapping(uint8 pool => Pool) private _pools;

    event PoolFunded(uint8 indexed pool, address indexed funder, uint256 amount);
    event PoolConfigured(uint8 indexed pool, uint256 dailyLimit, bool active);
    event RewardClaimed(
        bytes32 indexed claimId, uint8 indexed pool, address indexed claimant, uint256 amount, uint64 day
    );
    event VerifierChanged(address indexed oldVerifier, address indexed newVerifier);
    event PoolSwept(uint8 indexed pool, address indexed to, uint256 amount);

    error UnknownPool(uint8 pool);
    error PoolInactive(uint8 pool);
    error PoolStillActive(uint8 pool);
    error ZeroAmount();
    error AmountTooLarge(uint256 amount);
    error ClaimExpired(uint256 deadline, uint256 timestamp);
    error ClaimAlreadyPaid(bytes32 claimId);
    error NotAuthorized(address signer);
    error DailyLimitExceeded(uint8 pool, address account, uint256 dailyLimit, uint256 wanted);
    error PoolBudgetExceeded(uint8 pool, uint256 budget, uint256 amount);

    /// @param admin administrator. @param token_ reward token, a plain TRC-20. @param verifier_ signs authorisations.
    constructor(address admin, IERC20 token_, address verifier_) Administered(admin) EIP712("RewardVault", "1") {
        _requireAddress(address(token_));
        token = token_;
        _setVerifier(verifier_);
    }

    // --- claims ---------------------------------------------------------------------------------------------------

    /// @notice Pays the caller an authorised reward.
    /// @param deadline last second (Unix time) at which the authorisation is good.
    /// @param signature 65 bytes r, s, v over `claimDigest`.
    function claim(bytes32 claimId, uint8 pool, uint256 amount, uint256 deadline, bytes calldata signature)
        external
        nonReentrant
        whenNotPaused
    {
        _payAuthorized(claimId, pool, msg.sender, amount, deadline, signature);
    }

    /// @notice Pays an authorised reward to the account that the authorisation names, whoever brings it: a relay pays
    /// the energy, the claimant gets the tokens.
    /// @param claimant who was authorised and is paid.
    /// @param deadline last second (Unix time) at which the authorisation is good.
    /// @param signature 65 bytes r, s, v over `claimDigest`.
    function payClaim(
        bytes32 claimId,
        uint8 pool,
        address claimant,
        uint256 amount,
        uint256 deadline,
        bytes calldata signature
    ) external nonReentrant whenNotPaused {
        _payAuthorized(claimId, pool, claimant, amount, deadline, signature);
    }

    /// @notice The 32 bytes that the verifier signs.
    function claimDigest(bytes32 claimId, uint8 pool, address claimant, uint256 amount, uint256 deadline)
        public
        view
        returns (bytes32)
    {
        return _hashTypedDataV4(
            keccak256(abi.encode(CLAIM_TYPEHASH, claimId, pool, claimant, amount, deadline))
        );
    }

    // --- pools ----------------------------------------------------------------------------------------------------

    /// @notice Adds to a pool's budget; the caller has approved the vault for `amount`.
    function fundPool(uint8 pool, uint256 amount) external nonReentrant whenNotPaused {
        _requirePool(pool);
        if (amount == 0) revert ZeroAmount();
        _pools[pool].budget += _checked(amount);
        emit PoolFunded(pool, msg.sender, amount);
        token.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @notice Sets a pool's limit per account and UTC day, and whether it pays. New pools are inactive.
    function configurePool(uint8 pool, uint256 dailyLimit, bool active) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _requirePool(pool);
        _pools[pool].dailyLimit = _checked(dailyLimit);
        _pools[pool].active = active;
        emit PoolConfigured(pool, dailyLimit, active);
    }

    /// @notice Empties the budget of an inactive pool.
    function sweepPool(uint8 pool, address to) external nonReentrant onlyRole(DEFAULT_ADMIN_ROLE) {
        _requirePool(pool);
        _requireAddress(to);
        if (_pools[pool].active) revert PoolStillActive(pool);
        uint256 amount = _pools[pool].budget;
        if (amount == 0) revert ZeroAmount();
        _pools[pool].budget = 0;
        emit PoolSwept(pool, to, amount);
        token.safeTransfer(to, amount);
    }

    /// @notice Names the account whose signature authorises claims; signatures of the old one are void.
    function setVerifier(address verifier_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _setVerifier(verifier_);
    }

    /// @notice Budget, limit per account and day, and whether the pool pays.
    function pools(uint8 pool) external view returns (uint256 budget, uint256 dailyLimit, bool active) {
        _requirePool(pool);
        Pool memory p = _pools[pool];
        return (p.budget, p.dailyLimit, p.active);
    }

    // --- internals ------------------------------------------------------------------------------------------------

    function _payAuthorized(
        bytes32 claimId,
        uint8 pool,
        address claimant,
        uint256 amount,
        uint256 deadline,
        bytes calldata signature
    ) private {
        if (block.timestamp > deadline) revert ClaimExpired(deadline, block.timestamp);
        if (claimed[claimId]) revert ClaimAlreadyPaid(claimId);
        _requireAuthorized(claimDigest(claimId, pool, claimant, amount, deadline), signature);
        _pay(claimId, pool, claimant, amount);
    }

    /// @dev Pays a claim that is authorised and not paid yet.
    function _pay(bytes32 claimId, uint8 pool, address claimant, uint256 amount) private {
        if (amount == 0) revert ZeroAmount();
        claimed[claimId] = true;
        uint64 day = _book(pool, claimant, amount);
        emit RewardClaimed(claimId, pool, claimant, amount, day);
        token.safeTransfer(claimant, amount);
    }

    function _book(uint8 pool, address claimant, uint256 amount) private returns (uint64 day) {
        _requirePool(pool);
        Pool memory p = _pools[pool];
        if (!p.active) revert PoolInactive(pool);
        day = uint64(block.timestamp / 1 days);
        uint256 wanted = dailyClaimed[pool][claimant][day] + _checked(amount);
        if (wanted > p.dailyLimit) revert DailyLimitExceeded(pool, claimant, p.dailyLimit, wanted);
        if (amount > p.budget) revert PoolBudgetExceeded(pool, p.budget, amount);
        dailyClaimed[pool][claimant][day] = wanted;
        _pools[pool].budget = p.budget - uint120(amount);
    }

    function _requireAuthorized(bytes32 digest, bytes calldata signature) private view {
        (address signer, , ) = ECDSA.tryRecover(digest, signature);
        // tryRecover gives zero for a malformed signature, and the verifier is never zero
        if (signer != verifier) revert NotAuthorized(signer);
    }

    function _setVerifier(address verifier_) private {
        _requireAddress(verifier_);
        emit VerifierChanged(verifier, verifier_);
        verifier = verifier_;
    }

    function _requirePool(uint8 pool) private pure {
        if (pool >= POOL_COUNT) revert UnknownPool(pool);
    }

    function _checked(uint256 amount) private pure returns (uint120) {
        if (amount > type(uint120).max) revert AmountTooLarge(amount);
        return uint120(amount);
    }
}
