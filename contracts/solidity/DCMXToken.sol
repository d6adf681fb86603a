// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {Administered} from "./Administered.sol";

/// @title DCMXToken, the platform's utility token (TRC-20, 18 decimals)
/// @notice Capped supply. Minters are authorised one by one, each with an allowance that minting uses up.
/// Unaudited.
contract DCMXToken is Administered, ERC20Capped, ERC20Burnable {
    /// @notice May mint, within its allowance. Granted by `authorizeMinter`; the role alone has an allowance of 0.
    bytes32 public constant MINTER_ROLE = keccak256("MINTER_ROLE");

    /// @notice What a minter may still mint; the largest uint256 stands for "no limit but the cap".
    mapping(address minter => uint256 amount) public minterAllowance;

    event MinterAuthorized(address indexed minter, uint256 allowance);
    event MinterRevoked(address indexed minter);
    /// @notice Tokens came to be; `minter` sent the transaction (for the initial supply: the deployer).
    event Minted(address indexed minter, address indexed to, uint256 amount);
    event Burned(address indexed from, uint256 amount);

    /// @notice A minter asked for more than it has left.
    error MinterAllowanceExceeded(address minter, uint256 allowance, uint256 amount);
    /// @notice An amount that must not be zero was zero.
    error ZeroAmount();

    /// @param admin administrator, who also receives the initial supply.
    /// @param cap_ most tokens that can ever exist at once (18 decimals), > 0.
    /// @param initialSupply minted at once, <= cap_; may be 0.
    constructor(
        address admin,
        uint256 cap_,
        uint256 initialSupply
    ) ERC20("DCMX Token", "DCMX") ERC20Capped(cap_) Administered(admin) {
        if (initialSupply > 0) _mint(admin, initialSupply);
    }

    /// @notice Lets `minter` mint up to `allowance`; a second call replaces what was left of the first.
    function authorizeMinter(address minter, uint256 allowance_) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _requireAddress(minter);
        _grantRole(MINTER_ROLE, minter);
        minterAllowance[minter] = allowance_;
        emit MinterAuthorized(minter, allowance_);
    }

    /// @notice Takes role and allowance away. Same effect as `revokeRole(MINTER_ROLE, minter)`.
    function revokeMinter(address minter) external onlyRole(DEFAULT_ADMIN_ROLE) {
        _revokeRole(MINTER_ROLE, minter);
    }

    /// @notice Mints `amount` to `to` within the caller's allowance and the cap.
    function mint(address to, uint256 amount) external onlyRole(MINTER_ROLE) {
        if (amount == 0) revert ZeroAmount();
        uint256 left = minterAllowance[msg.sender];
        if (amount > left) revert MinterAllowanceExceeded(msg.sender, left, amount);
        if (left != type(uint256).max) minterAllowance[msg.sender] = left - amount;
        _mint(to, amount);
    }

    /// @dev One choke point for every way to lose the role, so that a role granted anew starts at an allowance of 0.
    function _revokeRole(bytes32 role, address account) internal override returns (bool revoked) {
        revoked = super._revokeRole(role, account);
        if (revoked && role == MINTER_ROLE) {
            delete minterAllowance[account];
            emit MinterRevoked(account);
        }
    }

    /// @dev Transfers, mints and burns all pass here: all stop while paused.
    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped) whenNotPaused {
        super._update(from, to, value);
        if (from == address(0)) emit Minted(_msgSender(), to, value);
        else if (to == address(0)) emit Burned(from, value);
    }
}
