// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// @notice TRX owed to accounts, which they fetch themselves: a receiver that reverts, or that burns all energy,
/// can only hurt itself.
abstract contract PullPayments is ReentrancyGuard {
    /// @notice Sun that the account can withdraw now.
    mapping(address account => uint256 amountSun) public withdrawable;

    /// @notice The account has fetched what it was owed.
    event Withdrawn(address indexed account, uint256 amountSun);

    /// @notice The account is owed nothing.
    error NothingToWithdraw(address account);
    /// @notice The account refused the transfer; it is still owed the amount.
    error WithdrawalRefused(address account, uint256 amountSun);

    /// @notice Pays the caller all that it is owed. Works while the contract is paused.
    /// @return amountSun what was paid.
    function withdraw() external nonReentrant returns (uint256 amountSun) {
        amountSun = withdrawable[msg.sender];
        if (amountSun == 0) revert NothingToWithdraw(msg.sender);
        withdrawable[msg.sender] = 0;
        emit Withdrawn(msg.sender, amountSun);
        (bool accepted, ) = msg.sender.call{value: amountSun}("");
        if (!accepted) revert WithdrawalRefused(msg.sender, amountSun);
    }

    function _credit(address account, uint256 amountSun) internal virtual {
        withdrawable[account] += amountSun;
    }
}
