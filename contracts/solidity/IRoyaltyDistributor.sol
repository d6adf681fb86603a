// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// @notice What MusicNFT needs of the RoyaltyDistributor.
interface IRoyaltyDistributor {
    /// @notice Makes a track known and names who controls its split.
    function registerTrack(uint256 trackId, address controller) external;

    /// @notice Distributes the TRX sent along. Kinds: 0 primary sale, 1 secondary sale, 2 direct payment.
    /// @return paymentId number of the payment, counted from 1.
    function pay(uint256 trackId, uint8 kind) external payable returns (uint256 paymentId);
}
