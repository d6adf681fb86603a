"""`python -m chain`: see `--help`."""

from chain.app import create
from service import run

run(create)
