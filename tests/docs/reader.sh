# How a reader would go about the commands of a page; sourced before its first one.
set -e
trap 'echo "line $LINENO of the page: $(sed -n "${LINENO}p" "$0")" >&2' ERR

# The targets are what CI itself runs; here it is enough that they exist and their recipes can be read.
make() {
    command make --dry-run "$@" >/dev/null
}

# A busy machine may keep a server from answering in time (exit code 3, or a line of `status`): a reader asks again.
annals() {
    local code=0
    for _ in {1..30}; do
        command annals "$@" && return
        code=$?
        [[ $code = 3 || $1 = status ]] || break
        sleep 1
    done
    return "$code"
}

until_ctrl_c() {
    python "${BASH_SOURCE%/*}/until_ctrl_c.py" "$@"
}
