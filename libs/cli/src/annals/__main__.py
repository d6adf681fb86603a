"""`python -m annals` is the `annals` command."""

from annals.cli import main

main()
