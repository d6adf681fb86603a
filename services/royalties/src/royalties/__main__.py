"""`python -m royalties`: see `--help`."""

from royalties.app import create
from service import run

run(create)
