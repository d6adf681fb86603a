"""`python -m console`: see `--help`."""

from console.app import create
from service import run

run(create)
