"""Programs that the system's package manager has."""

import os
import shutil
import subprocess

from local_stack.process import LocalStackError


def apt_install(*packages: str) -> bool:
    """Installs packages where we are root and apt-get is at hand; ANNALS_NO_APT=1 forbids it."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None or os.environ.get("ANNALS_NO_APT") == "1":
        return False
    print(f"installing {', '.join(packages)} by apt-get (ANNALS_NO_APT=1 forbids it)", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise LocalStackError(f"{' '.join(command)} failed:\n{(done.stderr or done.stdout)[-1500:]}")
    return True
