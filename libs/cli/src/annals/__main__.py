"""The entry point of the `annals` command."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Runs the command, or says what to install: the consumer API alone needs much less."""
    gc.disable()  # nothing that is imported becomes garbage, and to look for some is a tenth of the time it takes
    try:
        from annals.cli import app
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error.name} is missing; the command needs: pip install 'annals-cli[command]'")
    except KeyboardInterrupt:
        sys.exit(130)  # as later on, when the command-line library sees to it
    gc.freeze()
    gc.enable()
    app()


if __name__ == "__main__":
    main()
