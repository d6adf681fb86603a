"""`python -m greetings`: see `--help`."""

from greetings.app import create
from service import run

run(create)
