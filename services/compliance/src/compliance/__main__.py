"""`python -m compliance`: see `--help`."""

from compliance.app import create
from service import run

run(create)
