"""A local TRON network for development and tests. Run it with `python -m devnet`."""

from devnet.keys import FAUCET, Account, accounts

__all__ = ["FAUCET", "Account", "accounts"]
