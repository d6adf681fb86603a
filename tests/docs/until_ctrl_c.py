"""until_ctrl_c.py COMMAND …: runs it until it has said something, presses Ctrl-C, and expects it to end well."""

import signal
import subprocess
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run where it is ignored, which programs inherit
with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as program:
    assert program.stdout is not None
    print(program.stdout.readline().decode(), end="")
    program.send_signal(signal.SIGINT)
    print(program.stdout.read().decode(), end="")
sys.exit(0 if program.returncode in (0, 130, -signal.SIGINT) else f"ended with {program.returncode}")
