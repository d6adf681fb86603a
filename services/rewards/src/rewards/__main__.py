"""`python -m rewards`: see `--help`."""

from rewards.app import create
from service import run

run(create)
