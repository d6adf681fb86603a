#!/usr/bin/env bash
# Makes .venv: a Python 3.11-3.13 with everything in requirements.lock (hashes checked) and the workspace's packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Settings of pip in the environment that would change what is installed. Those that say how to reach an index stay.
unset PIP_FIND_LINKS PIP_NO_INDEX PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT PIP_REQUIREMENT
unset UV_FIND_LINKS UV_NO_INDEX UV_CONSTRAINT UV_OVERRIDE UV_SYSTEM_PYTHON VIRTUAL_ENV PYTHONPATH PYTHONHOME

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# A distribution's Python is built by profile, as the images' is: all that runs here takes a sixth less of a CPU than with
# one that a version manager has compiled without. It is taken first where it can make environments at once.
find_python() {
    local candidate
    if [ -z "${PYTHON:-}" ] && fits /usr/bin/python3 && /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then
        echo /usr/bin/python3
        return
    fi
    for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3 python; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "error: Annals needs Python 3.11, 3.12 or 3.13; install one (Debian: apt-get install python3 python3-venv," \
         "macOS: brew install python@3.12) or name it: make setup PYTHON=/path/to/python" >&2
    return 1
}

make_venv() {
    "$1" -m venv --clear .venv && .venv/bin/python -m pip --version >/dev/null
}

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    python=$(find_python)
    if ! make_venv "$python" >/tmp/annals-venv.$$ 2>&1; then
        # Debian ships the module venv apart from Python.
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ "${ANNALS_NO_APT:-}" != 1 ]; then
            echo "installing python3-venv by apt-get (ANNALS_NO_APT=1 forbids it)"
            DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
            DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends python3-venv >/dev/null
            make_venv "$python"
        else
            cat /tmp/annals-venv.$$ >&2
            rm -f /tmp/annals-venv.$$
            echo "error: $python cannot make a virtual environment; mend it by: sudo apt-get install python3-venv" >&2
            exit 1
        fi
    fi
    rm -f /tmp/annals-venv.$$
fi

# uv itself comes from the same lock, by pip, which checks its hashes.
awk '/^uv==/ { found = 1 } found { print } found && !/\\$/ { exit }' requirements.lock > .venv/uv.lock
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock

editable=()
for file in contracts/messages/pyproject.toml infra/local/pyproject.toml libs/*/pyproject.toml services/*/pyproject.toml; do
    [ -f "$file" ] && editable+=(-e "$(dirname "$file")")
done
.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation "${editable[@]}"
touch .venv/.installed
python=$(.venv/bin/python -c 'import os, platform, sys
print(platform.python_version(), f"({os.path.realpath(sys.executable)})")')
echo "installed $((${#editable[@]} / 2)) packages and their dependencies in .venv, with Python $python"
