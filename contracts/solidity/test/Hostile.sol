// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {RoyaltyDistributor} from "../RoyaltyDistributor.sol";

/// @notice Calls what it is told to, and makes trouble when it is paid: refuses, burns all gas, or calls back.
contract Attacker {
    enum Mode {
        Accept,
        Refuse,
        BurnGas,
        CallBack
    }

    Mode public mode;
    address public target;
    bytes public callback;
    uint256 public callbacks;
    bool public callbackSucceeded;
    bytes public callbackAnswer;

    function prepare(Mode mode_, address target_, bytes calldata callback_) external {
        (mode, target, callback) = (mode_, target_, callback_);
    }

    function run(address to, bytes calldata data) external payable returns (bytes memory) {
        return _bubble(to, data, msg.value);
    }

    receive() external payable {
        if (mode == Mode.Refuse) revert("not today");
        if (mode == Mode.BurnGas) while (true) {}
        if (mode == Mode.CallBack) {
            callbacks += 1;
            (callbackSucceeded, callbackAnswer) = target.call(callback);
        }
    }

    function _bubble(address to, bytes memory data, uint256 value) private returns (bytes memory) {
        (bool success, bytes memory answer) = to.call{value: value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }
}

/// @notice Answers the receiver hook of TRC-721, of ERC-721, or neither.
contract HookReceiver {
    bytes4 public constant TRC721 = bytes4(keccak256("onTRC721Received(address,address,uint256,bytes)"));
    bytes4 public constant ERC721 = bytes4(keccak256("onERC721Received(address,address,uint256,bytes)"));

    bytes4 public immutable accepted;

    constructor(bytes4 accepted_) {
        accepted = accepted_;
    }

    fallback(bytes calldata) external returns (bytes memory) {
        if (msg.sig != accepted) revert("no such hook");
        return abi.encode(accepted);
    }
}

/// @notice A token that calls back whenever it moves.
contract ReentrantToken is ERC20 {
    address public target;
    bytes public callback;
    bool public callbackSucceeded;
    bytes public callbackAnswer;

    constructor() ERC20("Reentrant", "RE") {
        _mint(msg.sender, 1_000_000);
    }

    function prepare(address target_, bytes calldata callback_) external {
        (target, callback) = (target_, callback_);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (target != address(0)) {
            address called = target;
            target = address(0); // once
            (callbackSucceeded, callbackAnswer) = called.call(callback);
        }
    }
}

/// @notice An honest RoyaltyDistributor until it is told to embezzle: then a sun of every so-manieth credit goes to the
/// fee recipient, while the events say that all was credited.
contract EmbezzlingDistributor is RoyaltyDistributor {
    uint256 public every;
    uint256 private _credits;

    constructor(address admin, address feeRecipient_, uint16 feeBps)
        RoyaltyDistributor(admin, feeRecipient_, feeBps)
    {}

    function embezzle(uint256 every_) external {
        every = every_;
    }

    function _credit(address account, uint256 amountSun) internal override {
        if (every > 0 && ++_credits % every == 0) {
            super._credit(feeRecipient, 1);
            amountSun -= 1;
        }
        super._credit(account, amountSun);
    }
}
