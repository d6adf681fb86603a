"""Runs one server and never outlives its owner: `python -I -S guard.py '<json>'`.

The owner holds the other end of this process's standard input. When that closes, because the owner
says stop or because it died however suddenly, the server is told to stop and, after a grace period,
killed. On Linux the kernel does the same to the server should this process itself be killed.
Standard library only: it has to start in milliseconds.
"""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import types

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Returns the server's exit status (negative: the signal that ended it)."""
    spec = json.loads(sys.argv[1])
    owner = os.getppid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def before_it_runs() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, spec["stop_signal"])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    stopping = False

    def stop(_signum: int, _frame: types.FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    # A new process has our handlers until it runs the server's program: a signal to it in that moment must wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    identity = {} if spec["uid"] is None else {"user": spec["uid"], "group": spec["gid"], "extra_groups": ()}
    server = subprocess.Popen(
        spec["command"],
        stdin=subprocess.DEVNULL,
        cwd=spec["cwd"],
        preexec_fn=before_it_runs,  # this process has one thread; after the change of user, which clears the former
        **identity,
    )
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    while server.poll() is None and not stopping:
        readable, _, _ = select.select([0], [], [], 0.2)
        # A process forked from the owner may hold the pipe open after the owner's death: look at the parent, too.
        if readable or os.getppid() != owner:
            break
    if server.poll() is None:
        server.send_signal(spec["stop_signal"])
        try:
            server.wait(spec["grace"])
        except subprocess.TimeoutExpired:
            server.kill()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main() & 0xFF)
