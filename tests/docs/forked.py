"""`annals` as a fork of a process that has imported all of it: the pages call it often, and importing takes a second.

forked.py serve SOCKET        imports, says `ready`, and forks for each call
forked.py call SOCKET …       the command with these arguments, here: folder, variables, input and output
"""

import json
import os
import signal
import socket
import sys
from typing import NoReturn

LARGEST_CALL = 1 << 20


def serve(path: str) -> NoReturn:
    from annals.cli import app
    from annals.services import installed

    for service in installed().values():
        service.load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        print("ready", flush=True)
        while True:
            caller, _ = listener.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where it is ignored
                listener.close()
                os._exit(_run(app, caller))
            caller.close()


def _run(app: object, caller: socket.socket) -> int:
    """Becomes the command that the caller wants; returns its exit code, which the caller gets, too."""
    message, descriptors, _, _ = socket.recv_fds(caller, LARGEST_CALL, 3)
    wanted = json.loads(message)
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["variables"])
    sys.argv = ["annals", *wanted["arguments"]]
    caller.send(str(os.getpid()).encode())
    code = 1
    try:
        app()  # type: ignore[operator]
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        code = 130
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.send(str(code).encode())
    return code


def call(path: str, *arguments: str) -> int:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST_CALL)
        server.connect(path)
        wanted = {"folder": os.getcwd(), "variables": dict(os.environ), "arguments": arguments}
        socket.send_fds(server, [json.dumps(wanted).encode()], [0, 1, 2])
        pid = int(server.recv(16))
        signal.signal(signal.SIGINT, lambda *_: os.kill(pid, signal.SIGINT))
        return int(server.recv(16) or b"1")


if __name__ == "__main__":
    sys.exit({"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:]))
