// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Administered} from "./Administered.sol";

/// @title ComplianceRegistry, the public record of legal documents, their acceptance and of deletion requests
/// @notice Holds hashes and addresses only, never personal data. Document types: 0 terms, 1 privacy, 2 cookies,
/// 3 artist agreement, 4 license. Laws: 0 GDPR, 1 CCPA. Unaudited.
contract ComplianceRegistry is Administered {
    enum RequestStatus {
        None,
        Requested,
        Completed,
        Denied
    }

    struct Document {
        bytes32 contentHash;
        uint64 publishedAt;
        string uri;
    }

    struct DeletionRequest {
        address account;
        uint64 requestedAt;
        uint8 law;
        RequestStatus status;
    }

    /// @notice May publish documents and decide deletion requests.
    bytes32 public constant OFFICER_ROLE = keccak256("OFFICER_ROLE");
    /// @notice May anchor roots of sealed event logs.
    bytes32 public constant ANCHOR_ROLE = keccak256("ANCHOR_ROLE");
    /// @notice Number of document types.
    uint8 public constant DOCUMENT_TYPES = 5;
    /// @notice Number of laws.
    uint8 public constant LAWS = 2;

    /// @notice Version in force of a document type, counted from 1; 0 before the first.
    mapping(uint8 documentType => uint32 version) public currentVersion;
    /// @notice A published version: hash of the exact text, time (Unix seconds), and where to find it.
    mapping(uint8 documentType => mapping(uint32 version => Document)) public documents;
    /// @notice When (Unix seconds) an account accepted a version; 0 if it didn't.
    mapping(address account => mapping(uint8 documentType => mapping(uint32 version => uint64 acceptedAt))) public
        acceptances;
    /// @notice Deletion requests; a status of 0 means there is none of this id.
    mapping(bytes32 requestId => DeletionRequest) public deletionRequests;
    /// @notice Root of a segment of a sealed log; never overwritten.
    mapping(bytes32 logId => mapping(uint64 segment => bytes32 root)) public roots;

    event DocumentPublished(uint8 indexed documentType, uint32 indexed version, bytes32 contentHash, string uri);
    event DocumentAccepted(
        address indexed account, uint8 indexed documentType, uint32 indexed version, bytes32 contentHash
    );
    event DeletionRequested(bytes32 indexed requestId, address indexed account, uint8 law);
    event DeletionCompleted(bytes32 indexed requestId, bytes32 certificateHash);
    event DeletionDenied(bytes32 indexed requestId, uint8 reason);
    event RootAnchored(bytes32 indexed logId, uint64 indexed segment, bytes32 root);

    error InvalidDocumentType(uint8 documentType);
    error UnknownDocument(uint8 documentType, uint32 version);
    error ContentHashMismatch(bytes32 expected, bytes32 got);
    error AlreadyAccepted(address account, uint8 documentType, uint32 version);
    error InvalidLaw(uint8 law);
    error RequestExists(bytes32 requestId);
    error RequestNotOpen(bytes32 requestId, RequestStatus status);
    error RootExists(bytes32 logId, uint64 segment);
    error ZeroHash();

    /// @param admin administrator.
    constructor(address admin) Administered(admin) {}

    // --- documents ------------------------------------------------------------------------------------------------

    /// @notice Publishes the next version of a document; earlier acceptances no longer count as current.
    function publishDocument(uint8 documentType, bytes32 contentHash, string calldata uri)
        external
        onlyRole(OFFICER_ROLE)
        whenNotPaused
        returns (uint32 version)
    {
        if (documentType >= DOCUMENT_TYPES) revert InvalidDocumentType(documentType);
        _requireHash(contentHash);
        version = ++currentVersion[documentType];
        documents[documentType][version] = Document(contentHash, uint64(block.timestamp), uri);
        emit DocumentPublished(documentType, version, contentHash, uri);
    }

    /// @notice Records that the caller accepts exactly this text. A superseded version can still be accepted (its text
    /// may have been read before the new one came), but does not make `hasAccepted` true.
    function acceptDocument(uint8 documentType, uint32 version, bytes32 contentHash) external whenNotPaused {
        bytes32 published = documents[documentType][version].contentHash;
        if (published == 0) revert UnknownDocument(documentType, version);
        if (published != contentHash) revert ContentHashMismatch(published, contentHash);
        if (acceptances[msg.sender][documentType][version] != 0) {
            revert AlreadyAccepted(msg.sender, documentType, version);
        }
        acceptances[msg.sender][documentType][version] = uint64(block.timestamp);
        emit DocumentAccepted(msg.sender, documentType, version, contentHash);
    }

    /// @notice Whether the account accepted the version in force; false while there is none.
    function hasAccepted(address account, uint8 documentType) external view returns (bool) {
        return acceptances[account][documentType][currentVersion[documentType]] != 0;
    }

    /// @notice Whether the account accepted this version.
    function hasAcceptedVersion(address account, uint8 documentType, uint32 version) external view returns (bool) {
        return acceptances[account][documentType][version] != 0;
    }

    // --- deletion requests ----------------------------------------------------------------------------------------

    /// @notice Asks for erasure of the caller's data. @param requestId a fresh random id. @param law 0 GDPR, 1 CCPA.
    function requestDeletion(bytes32 requestId, uint8 law) external whenNotPaused {
        _requireHash(requestId);
        if (law >= LAWS) revert InvalidLaw(law);
        if (deletionRequests[requestId].status != RequestStatus.None) revert RequestExists(requestId);
        deletionRequests[requestId] =
            DeletionRequest(msg.sender, uint64(block.timestamp), law, RequestStatus.Requested);
        emit DeletionRequested(requestId, msg.sender, law);
    }

    /// @notice Records that the data are erased. @param certificateHash hash of the erasure certificate.
    function completeDeletion(bytes32 requestId, bytes32 certificateHash)
        external
        onlyRole(OFFICER_ROLE)
        whenNotPaused
    {
        _requireHash(certificateHash);
        _close(requestId, RequestStatus.Completed);
        emit DeletionCompleted(requestId, certificateHash);
    }

    /// @notice Records that the request is refused. @param reason the platform's code for the legal ground.
    function denyDeletion(bytes32 requestId, uint8 reason) external onlyRole(OFFICER_ROLE) whenNotPaused {
        _close(requestId, RequestStatus.Denied);
        emit DeletionDenied(requestId, reason);
    }

    // --- anchors --------------------------------------------------------------------------------------------------

    /// @notice Publishes the root of a sealed segment of an event log; once per segment.
    function anchorRoot(bytes32 logId, uint64 segment, bytes32 root) external onlyRole(ANCHOR_ROLE) whenNotPaused {
        _requireHash(root);
        if (roots[logId][segment] != 0) revert RootExists(logId, segment);
        roots[logId][segment] = root;
        emit RootAnchored(logId, segment, root);
    }

    // --- internals ------------------------------------------------------------------------------------------------

    function _close(bytes32 requestId, RequestStatus status) private {
        DeletionRequest storage request = deletionRequests[requestId];
        if (request.status != RequestStatus.Requested) revert RequestNotOpen(requestId, request.status);
        request.status = status;
    }

    function _requireHash(bytes32 value) private pure {
        if (value == 0) revert ZeroHash();
    }
}
