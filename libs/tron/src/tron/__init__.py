"""TRON for back ends: cross-checked reads, an event decoder, typed contracts, and a fast sender.

Import from the modules: `tron.address`, `tron.units`, `tron.abi`, `tron.client`, `tron.contracts`, `tron.sender`,
`tron.deploy`.
"""
