"""The `annals` command."""
