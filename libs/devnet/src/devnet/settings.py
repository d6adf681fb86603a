"""What can be set on a devnet, and the chain parameters that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

SUN_PER_TRX = 1_000_000
MAX_TRANSACTION_BYTES = 500 * 1024
MAX_EXPIRATION_MS = 24 * 60 * 60 * 1000
DAY_MS = 24 * 60 * 60 * 1000
RESULT_BYTES = 64  # java-tron adds this to each transaction's size when it charges bandwidth


@dataclass(frozen=True, slots=True)
class Settings:
    """One devnet. Amounts are in sun, times in seconds unless named otherwise."""

    block_time: float | None = 3.0
    """Seconds between blocks; None: blocks are made on demand only."""
    solid_distance: int = 18
    """The solidified block is this far behind the head (19 of 27 producers must build on a block)."""
    forced_depth: int = 32
    """As many of the newest blocks can be reorganised by force, solidified or not."""
    producers: int = 27
    accounts: int = 20
    account_balance_sun: int = 100_000_000 * SUN_PER_TRX
    faucet_balance_sun: int = 1_000_000_000 * SUN_PER_TRX
    energy_price_sun: int = 100
    bandwidth_price_sun: int = 1000
    free_bandwidth: int = 600
    """Bytes per account and day that cost nothing."""
    create_account_fee_sun: int = 1_000_000
    create_account_bandwidth_fee_sun: int = 100_000
    memo_fee_sun: int = 1_000_000
    multi_sign_fee_sun: int = 1_000_000
    max_fee_limit_sun: int = 15_000 * SUN_PER_TRX
    constant_energy_limit: int = 100_000_000
    max_log_blocks: int = 5_000
    max_log_addresses: int = 1_000
    max_logs: int = 10_000

    def chain_parameters(self) -> list[dict[str, str | int]]:
        """Returns `getchainparameters` in java-tron's order; a parameter of value 0 has no `value`."""
        own = {
            "getCreateAccountFee": self.create_account_bandwidth_fee_sun,
            "getTransactionFee": self.bandwidth_price_sun,
            "getCreateNewAccountFeeInSystemContract": self.create_account_fee_sun,
            "getEnergyFee": self.energy_price_sun,
            "getFreeNetLimit": self.free_bandwidth,
            "getMaxFeeLimit": self.max_fee_limit_sun,
            "getMemoFee": self.memo_fee_sun,
            "getMultiSignFee": self.multi_sign_fee_sun,
        }
        parameters: list[dict[str, str | int]] = []
        for key, recorded in _CHAIN_PARAMETERS:
            value = own.get(key, recorded)
            parameters.append({"key": key, "value": value} if value else {"key": key})
        return parameters


TOTAL_BANDWIDTH = 43_200_000_000
TOTAL_ENERGY = 180_000_000_000

# As recorded from java-tron 4.8.0 with the fee parameters of the main network.
_CHAIN_PARAMETERS: tuple[tuple[str, int], ...] = (
    ("getMaintenanceTimeInterval", 60_000),
    ("getAccountUpgradeCost", 9_999_000_000),
    ("getCreateAccountFee", 100_000),
    ("getTransactionFee", 1_000),
    ("getAssetIssueFee", 1_024_000_000),
    ("getWitnessPayPerBlock", 32_000_000),
    ("getWitnessStandbyAllowance", 115_200_000_000),
    ("getCreateNewAccountFeeInSystemContract", 1_000_000),
    ("getCreateNewAccountBandwidthRate", 1),
    ("getAllowCreationOfContracts", 1),
    ("getRemoveThePowerOfTheGr", 0),
    ("getEnergyFee", 100),
    ("getExchangeCreateFee", 1_024_000_000),
    ("getMaxCpuTimeOfOneTx", 80),
    ("getAllowUpdateAccountName", 0),
    ("getAllowSameTokenName", 1),
    ("getAllowDelegateResource", 1),
    ("getTotalEnergyLimit", 180_000_000_000),
    ("getAllowTvmTransferTrc10", 1),
    ("getTotalEnergyCurrentLimit", 180_000_000_000),
    ("getAllowMultiSign", 1),
    ("getAllowAdaptiveEnergy", 0),
    ("getTotalEnergyTargetLimit", 12_500_000),
    ("getTotalEnergyAverageUsage", 0),
    ("getUpdateAccountPermissionFee", 100_000_000),
    ("getMultiSignFee", 1_000_000),
    ("getAllowAccountStateRoot", 0),
    ("getAllowProtoFilterNum", 0),
    ("getAllowTvmConstantinople", 1),
    ("getAllowTvmSolidity059", 1),
    ("getAllowTvmIstanbul", 1),
    ("getAllowShieldedTRC20Transaction", 0),
    ("getForbidTransferToContract", 0),
    ("getAdaptiveResourceLimitTargetRatio", 10),
    ("getAdaptiveResourceLimitMultiplier", 1_000),
    ("getChangeDelegation", 1),
    ("getWitness127PayPerBlock", 16_000_000),
    ("getAllowMarketTransaction", 0),
    ("getMarketSellFee", 0),
    ("getMarketCancelFee", 0),
    ("getAllowPBFT", 0),
    ("getAllowTransactionFeePool", 0),
    ("getMaxFeeLimit", 15_000_000_000),
    ("getAllowOptimizeBlackHole", 1),
    ("getAllowNewResourceModel", 0),
    ("getAllowTvmFreeze", 0),
    ("getAllowTvmVote", 1),
    ("getAllowTvmLondon", 1),
    ("getAllowTvmCompatibleEvm", 0),
    ("getAllowAccountAssetOptimization", 0),
    ("getFreeNetLimit", 600),
    ("getTotalNetLimit", 43_200_000_000),
    ("getAllowHigherLimitForMaxCpuTimeOfOneTx", 1),
    ("getAllowAssetOptimization", 1),
    ("getAllowNewReward", 1),
    ("getMemoFee", 1_000_000),
    ("getAllowDelegateOptimization", 1),
    ("getUnfreezeDelayDays", 14),
    ("getAllowOptimizedReturnValueOfChainId", 1),
    ("getAllowDynamicEnergy", 1),
    ("getDynamicEnergyThreshold", 5_000_000_000),
    ("getDynamicEnergyIncreaseFactor", 2_000),
    ("getDynamicEnergyMaxFactor", 34_000),
    ("getAllowTvmShangHai", 1),
    ("getAllowCancelAllUnfreezeV2", 1),
    ("getMaxDelegateLockPeriod", 864_000),
    ("getAllowOldRewardOpt", 1),
    ("getAllowEnergyAdjustment", 1),
    ("getMaxCreateAccountTxSize", 1_000),
    ("getAllowStrictMath", 1),
    ("getConsensusLogicOptimization", 1),
    ("getAllowTvmCancun", 1),
    ("getAllowTvmBlob", 1),
)
