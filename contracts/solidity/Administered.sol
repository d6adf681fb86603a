// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {AccessControl} from "@openzeppelin/contracts/access/AccessControl.sol";
import {Pausable} from "@openzeppelin/contracts/utils/Pausable.sol";

/// @notice What the five contracts share: roles, a pause switch, and one administrator to begin with.
/// @dev The administrator hands over in two steps: `grantRole` to the successor, who proves control of the new
/// address by calling `revokeRole` on the old one. A multi-signature account is an ordinary administrator.
abstract contract Administered is AccessControl, Pausable {
    /// @notice May pause and unpause.
    bytes32 public constant PAUSER_ROLE = keccak256("PAUSER_ROLE");

    /// @notice An address that must not be zero was zero.
    error ZeroAddress();

    /// @param admin gets the default admin role (which grants all others) and the pauser role.
    constructor(address admin) {
        _requireAddress(admin);
        _grantRole(DEFAULT_ADMIN_ROLE, admin);
        _grantRole(PAUSER_ROLE, admin);
    }

    /// @notice Stops the functions marked `whenNotPaused`; nobody's withdrawals are among them.
    function pause() external onlyRole(PAUSER_ROLE) {
        _pause();
    }

    /// @notice Resumes them.
    function unpause() external onlyRole(PAUSER_ROLE) {
        _unpause();
    }

    function _requireAddress(address account) internal pure {
        if (account == address(0)) revert ZeroAddress();
    }
}
