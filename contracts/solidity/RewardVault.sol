// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Administered} from "./Administered.sol";

/// @notice What checks listening claims: the contract that the circuit's verifying key is compiled into.
interface IListeningVerifier {
    /// @notice Reverts unless the proof is one of these public values: commitment, scope, threshold, nullifier, recipient.
    function verifyProof(uint256[8] calldata proof, uint256[5] calldata input) external view;
}

/// @title RewardVault, which pays rewards that were authorised, proven, or published
/// @notice Five pools: 0 sharing, 1 listening, 2 bandwidth, 3 voting, 4 referral. Each has a budget (what it was
/// funded with and has not paid) and a limit per account and UTC day. Unaudited. A reward is paid for
/// - an authorisation: an EIP-712 signature that binds claim, pool, claimant, amount, deadline, chain and vault;
/// - a listening claim: a zero-knowledge proof that its maker is a listener of a published period (pool 1);
/// - an entry of a published batch, which sets its total aside and knows no daily limits.
/// Each is paid once, to the account it names, whoever brings it.
contract RewardVault is Administered, EIP712, ReentrancyGuard {
    using SafeERC20 for IERC20;

    struct Pool {
        uint120 budget;
        uint120 dailyLimit;
        bool active;
    }

    /// @dev A period's listening rewards: `amount` for each listener of at least `threshold` seconds.
    struct Period {
        uint256 commitment;
        IListeningVerifier verifier;
        uint32 threshold;
        uint64 deadline;
        uint120 amount;
    }

    /// @dev Many small rewards: a Merkle root over (index, account, amount), and what is left to pay.
    struct Batch {
        bytes32 root;
        uint120 left;
        uint64 deadline;
        uint8 pool;
    }

    /// @notice May open periods and batches.
    bytes32 public constant PUBLISHER_ROLE = keccak256("PUBLISHER_ROLE");
    /// @notice Number of pools.
    uint8 public constant POOL_COUNT = 5;
    /// @notice The pool that listening claims are paid from.
    uint8 public constant LISTENING = 1;
    /// @dev Order of BN254's scalar field, which the circuit computes in.
    uint256 private constant FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    /// @notice EIP-712 type of an authorisation; the domain is ("RewardVault", "1", chain id, this contract).
    bytes32 public constant CLAIM_TYPEHASH =
        keccak256("Claim(bytes32 claimId,uint8 pool,address claimant,uint256 amount,uint256 deadline)");

    /// @notice The token that rewards are paid in.
    IERC20 public immutable token;
    /// @notice Account whose signature authorises claims.
    address public verifier;
    /// @notice What checks the listening claims of periods opened from now on.
    IListeningVerifier public listeningVerifier;
    /// @notice Whether a claim id was paid; the id of a listening claim is its nullifier.
    mapping(bytes32 claimId => bool) public claimed;
    /// @notice What an account has claimed from a pool on a day (days since 1970-01-01 UTC).
    mapping(uint8 pool => mapping(address account => mapping(uint64 day => uint256 amount))) public dailyClaimed;

    /// @notice Listening rewards by period; one whose commitment is zero was never opened.
    mapping(uint64 period => Period) public periods;
    /// @notice Batches by number; one whose root is zero was never opened.
    mapping(uint64 batch => Batch) public batches;

    mapping(uint8 pool => Pool) private _pools;
    mapping(uint64 batch => mapping(uint256 word => uint256 bits)) private _batchPaid;

    event PoolFunded(uint8 indexed pool, address indexed funder, uint256 amount);
    event PoolConfigured(uint8 indexed pool, uint256 dailyLimit, bool active);
    event RewardClaimed(
        bytes32 indexed claimId, uint8 indexed pool, address indexed claimant, uint256 amount, uint64 day
    );
    event VerifierChanged(address indexed oldVerifier, address indexed newVerifier);
    event PoolSwept(uint8 indexed pool, address indexed to, uint256 amount);
    event ListeningVerifierChanged(address indexed oldVerifier, address indexed newVerifier);
    event PeriodOpened(
        uint64 indexed period,
        uint256 commitment,
        uint32 threshold,
        uint256 amount,
        uint64 deadline,
        address verifier
    );
    event PeriodClosed(uint64 indexed period);
    event BatchOpened(uint64 indexed batch, uint8 indexed pool, bytes32 root, uint256 total, uint64 deadline);
    event BatchPaid(uint64 indexed batch, uint256 indexed index, address indexed account, uint256 amount);
    event BatchSwept(uint64 indexed batch, uint8 indexed pool, uint256 amount);

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
    error DeadlinePassed(uint256 deadline, uint256 timestamp);
    error NotAContract(address account);
    error NoListeningVerifier();
    error InvalidCommitment(uint256 commitment);
    error PeriodAlreadyOpened(uint64 period);
    error PeriodNotOpened(uint64 period);
    error PeriodExpired(uint64 period, uint64 deadline, uint256 timestamp);
    error BatchAlreadyOpened(uint64 batch);
    error BatchNotOpened(uint64 batch);
    error BatchExpired(uint64 batch, uint64 deadline, uint256 timestamp);
    error BatchNotExpired(uint64 batch, uint64 deadline, uint256 timestamp);
    error BatchEntryAlreadyPaid(uint64 batch, uint256 index);
    error NotInBatch(uint64 batch, uint256 index);
    error BatchTotalExceeded(uint64 batch, uint256 left, uint256 amount);

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

    // --- listening claims -----------------------------------------------------------------------------------------

    /// @notice Pays the listening reward of a period to the recipient that the proof is bound to, whoever brings it.
    /// @param nullifier the same for all claims of a listener in a period; paid once.
    /// @param proof Groth16 points A, B, C. Reverts with the verifier's `ProofInvalid` or `PublicInputNotInField`.
    function claimListening(uint64 period, bytes32 nullifier, address recipient, uint256[8] calldata proof)
        external
        nonReentrant
        whenNotPaused
    {
        Period memory p = periods[period];
        if (p.commitment == 0) revert PeriodNotOpened(period);
        if (block.timestamp > p.deadline) revert PeriodExpired(period, p.deadline, block.timestamp);
        if (claimed[nullifier]) revert ClaimAlreadyPaid(nullifier);
        p.verifier.verifyProof(
            proof, [p.commitment, periodScope(period), p.threshold, uint256(nullifier), uint160(recipient)]
        );
        _pay(nullifier, LISTENING, recipient, p.amount);
    }

    /// @notice Publishes a period's listening records, once: whoever proves `threshold` seconds is paid `amount`.
    /// @param commitment to the records, made for `periodScope(period)`.
    /// @param deadline last second (Unix time) at which claims are paid.
    function openPeriod(uint64 period, uint256 commitment, uint32 threshold, uint256 amount, uint64 deadline)
        external
        onlyRole(PUBLISHER_ROLE)
    {
        if (periods[period].commitment != 0) revert PeriodAlreadyOpened(period);
        if (commitment == 0 || commitment >= FIELD) revert InvalidCommitment(commitment);
        if (amount == 0) revert ZeroAmount();
        _requireFuture(deadline);
        IListeningVerifier current = listeningVerifier;
        if (address(current) == address(0)) revert NoListeningVerifier();
        periods[period] = Period(commitment, current, threshold, deadline, _checked(amount));
        emit PeriodOpened(period, commitment, threshold, amount, deadline, address(current));
    }

    /// @notice Ends a period early, for ever: the commitment turned out to be wrong.
    function closePeriod(uint64 period) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (periods[period].commitment == 0) revert PeriodNotOpened(period);
        periods[period].deadline = 0;
        emit PeriodClosed(period);
    }

    /// @notice Names the contract that checks the claims of periods opened from now on (a new version of the circuit).
    function setListeningVerifier(IListeningVerifier verifier_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        if (address(verifier_).code.length == 0) revert NotAContract(address(verifier_));
        emit ListeningVerifierChanged(address(listeningVerifier), address(verifier_));
        listeningVerifier = verifier_;
    }

    /// @notice What commitments and nullifiers are made for: this chain and vault (184 bits), and the period (64 bits).
    function periodScope(uint64 period) public view returns (uint256) {
        return ((uint256(keccak256(abi.encode(block.chainid, address(this)))) >> 72) << 64) | period;
    }

    // --- batches --------------------------------------------------------------------------------------------------

    /// @notice Pays an entry of a batch to its account, whoever brings it.
    /// @param proof siblings from the leaf `keccak256(keccak256(abi.encode(index, account, amount)))` to the root.
    function payBatch(uint64 batch, uint256 index, address account, uint256 amount, bytes32[] calldata proof)
        external
        nonReentrant
        whenNotPaused
    {
        Batch memory b = batches[batch];
        if (b.root == 0) revert BatchNotOpened(batch);
        if (block.timestamp > b.deadline) revert BatchExpired(batch, b.deadline, block.timestamp);
        if (batchPaid(batch, index)) revert BatchEntryAlreadyPaid(batch, index);
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(index, account, amount))));
        if (!MerkleProof.verifyCalldata(proof, b.root, leaf)) revert NotInBatch(batch, index);
        if (amount > b.left) revert BatchTotalExceeded(batch, b.left, amount);
        _batchPaid[batch][index >> 8] |= 1 << (index & 0xff);
        batches[batch].left = b.left - uint120(amount);
        emit BatchPaid(batch, index, account, amount);
        token.safeTransfer(account, amount);
    }

    /// @notice Publishes a batch, once, and sets its total aside from the pool's budget.
    /// @param root of a Merkle tree as OpenZeppelin's StandardMerkleTree makes it of (uint256, address, uint256).
    /// @param deadline last second (Unix time) at which entries are paid.
    function openBatch(uint64 batch, uint8 pool, bytes32 root, uint256 total, uint64 deadline)
        external
        onlyRole(PUBLISHER_ROLE)
    {
        if (batches[batch].root != 0) revert BatchAlreadyOpened(batch);
        if (root == 0) revert InvalidCommitment(0);
        if (total == 0) revert ZeroAmount();
        _requireFuture(deadline);
        _takeFrom(pool, total);
        batches[batch] = Batch(root, uint120(total), deadline, pool);
        emit BatchOpened(batch, pool, root, total, deadline);
    }

    /// @notice Gives what an expired batch has not paid back to its pool. Anybody may call it.
    function sweepBatch(uint64 batch) external {
        Batch memory b = batches[batch];
        if (b.root == 0) revert BatchNotOpened(batch);
        if (block.timestamp <= b.deadline) revert BatchNotExpired(batch, b.deadline, block.timestamp);
        if (b.left == 0) revert ZeroAmount();
        batches[batch].left = 0;
        _pools[b.pool].budget += b.left;
        emit BatchSwept(batch, b.pool, b.left);
    }

    /// @notice Whether an entry of a batch was paid.
    function batchPaid(uint64 batch, uint256 index) public view returns (bool) {
        return (_batchPaid[batch][index >> 8] >> (index & 0xff)) & 1 == 1;
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
        uint256 dailyLimit = _takeFrom(pool, amount);
        day = uint64(block.timestamp / 1 days);
        uint256 wanted = dailyClaimed[pool][claimant][day] + amount;
        if (wanted > dailyLimit) revert DailyLimitExceeded(pool, claimant, dailyLimit, wanted);
        dailyClaimed[pool][claimant][day] = wanted;
    }

    /// @dev Takes an amount from an active pool's budget; returns the pool's daily limit.
    function _takeFrom(uint8 pool, uint256 amount) private returns (uint256 dailyLimit) {
        _requirePool(pool);
        Pool memory p = _pools[pool];
        if (!p.active) revert PoolInactive(pool);
        if (_checked(amount) > p.budget) revert PoolBudgetExceeded(pool, p.budget, amount);
        _pools[pool].budget = p.budget - uint120(amount);
        return p.dailyLimit;
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

    function _requireFuture(uint64 deadline) private view {
        if (block.timestamp > deadline) revert DeadlinePassed(deadline, block.timestamp);
    }

    function _requirePool(uint8 pool) private pure {
        if (pool >= POOL_COUNT) revert UnknownPool(pool);
    }

    function _checked(uint256 amount) private pure returns (uint120) {
        if (amount > type(uint120).max) revert AmountTooLarge(amount);
        return uint120(amount);
    }
}
