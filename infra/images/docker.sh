#!/usr/bin/env bash
# Gets a machine ready for containers: a Docker daemon that answers, Compose, and the base images, whatever is missing.
# Installs Debian's packages as root only (ANNALS_NO_APT=1 forbids it); without a registry it builds stand-ins.
#
#   infra/images/docker.sh pytest tests/containers    runs a command on it; nothing is left of either, however it ends
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=infra/images
started= # the daemon's process, if it was not there before
mkdir -p .local

die() { echo "error: $*" >&2; exit 1; }

apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ "${ANNALS_NO_APT:-}" != 1 ] || die "install $* first"
    echo "installing $*"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } \
        > .local/apt.log 2>&1 || die "apt-get could not install $*: see .local/apt.log"
}

daemon() {
    docker info >/dev/null 2>&1 && return
    [ -z "${DOCKER_HOST:-}" ] || die "no Docker daemon answers at $DOCKER_HOST"
    command -v dockerd >/dev/null || apt_install docker.io
    [ "$(id -u)" = 0 ] || die "no Docker daemon answers; start one"
    echo "starting dockerd"
    setsid nohup dockerd > .local/dockerd.log 2>&1 < /dev/null &
    started=$!
    for _ in $(seq 60); do
        docker info >/dev/null 2>&1 && return
        sleep 1
    done
    die "dockerd does not answer: see .local/dockerd.log"
}

# Debian has no Compose 2; it is a Go program, and so is the builder that it asks for.
compose() {
    docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 && return
    command -v go >/dev/null || die "install Docker Compose 2 and buildx, or Go to build them with"
    echo "building Docker Compose (some minutes)"
    local folder plugins=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
    folder=$(mktemp -d)
    mkdir -p "$plugins"
    cp $here/plugins/* "$folder"
    # Compose asks buildx which version it is, and a program built from modules knows only if it is told.
    (cd "$folder" && go mod tidy && version=$(go list -m -f '{{.Version}}' github.com/docker/buildx) &&
        for plugin in compose/v2/cmd buildx/cmd/buildx; do
            go build -trimpath -ldflags "-s -w -X github.com/docker/buildx/version.Version=$version" \
                -o "$plugins/docker-${plugin%%/*}" "github.com/docker/$plugin"
        done) > .local/compose.log 2>&1 || die "Docker Compose could not be built: see .local/compose.log"
    rm -rf "$folder"
}

images() {
    local name stage
    while read -r name stage; do
        docker image inspect "$name" >/dev/null 2>&1 || docker pull -q "$name" 2>/dev/null || standin "$name" "$stage" < /dev/null
    done <<< "python:3.11-slim python
postgres:16 postgres
apache/kafka:4.1.0 kafka
nginx:1.27 nginx
prom/prometheus:v3.1.0 prometheus"
}

standin() {
    echo "$1 cannot be pulled: building a stand-in"
    docker image inspect annals/debian >/dev/null 2>&1 || debian
    local context
    context=$(mktemp -d)
    cp -r $here/standins/. "$context"
    mkdir "$context/lib"
    if [ "$2" = kafka ]; then
        .venv/bin/python -m local_stack fetch
        cp .local/kafka/*/lib/*.jar "$context/lib"
    fi
    DOCKER_BUILDKIT=1 docker build -q --target "$2" -t "$1" "$context" > ".local/standin-$2.log" 2>&1 ||
        die "$1 could not be built: see .local/standin-$2.log"
    rm -rf "$context"
}

# Debian's smallest system with what this machine trusts and where it gets its packages.
debian() {
    PATH=$PATH:/usr/sbin command -v debootstrap >/dev/null || apt_install debootstrap
    local root mirror
    root=$(mktemp -d -p /var/tmp)
    mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | sort -u | head -n 1)
    chmod 755 "$root"
    /usr/sbin/debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror" > .local/debian.log 2>&1 ||
        die "debootstrap failed: see .local/debian.log"
    cp /etc/ssl/certs/ca-certificates.crt "$root/usr/local/share/ca-certificates/host.crt"
    chroot "$root" update-ca-certificates > /dev/null 2>&1
    if [ -f /etc/pip.conf ]; then cp /etc/pip.conf "$root/etc/pip.conf"; fi
    printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin "$root/usr/sbin/policy-rc.d" # nothing starts by itself
    tar -C "$root" --numeric-owner -c . | docker import - annals/debian > /dev/null
    rm -rf "$root"
}

# Everything that tests make is called after ANNALS_TEST_CONTAINERS; those that were killed have not removed it.
leave() {
    set +e
    local name=$ANNALS_TEST_CONTAINERS
    docker ps --all --quiet --filter "name=$name" | xargs --no-run-if-empty docker rm --force --volumes
    docker network ls --quiet --filter "name=$name" | xargs --no-run-if-empty docker network rm
    docker volume ls --quiet --filter "name=$name" | xargs --no-run-if-empty docker volume rm
    docker image prune --force --filter label=com.docker.compose.project=annals # those that newer ones have replaced
    if [ -n "$started" ] && [ -z "$(docker ps --quiet)" ]; then
        kill "$started"
        wait "$started"
    fi
} > /dev/null 2>&1

if [ $# -gt 0 ]; then
    ANNALS_TEST_CONTAINERS=annals-test-$(openssl rand -hex 3)
    export ANNALS_TEST_CONTAINERS
    trap leave EXIT
    trap 'exit 130' INT TERM HUP
fi
daemon
compose
images
docker version --format 'Docker {{.Server.Version}}'
"$@"
