#!/bin/sh
# Starts the gateway in the foreground: puts the settings of the environment (README.md) where nginx reads them, then
# becomes nginx. Arguments are nginx's: `start.sh -t` only tests the configuration.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
run=${GATEWAY_RUN:-/tmp/gateway}
certificate=${GATEWAY_CERTIFICATE:-$run/certificate.pem}
key=${GATEWAY_KEY:-$run/key.pem}
client_rate=${GATEWAY_CLIENT_RATE:-100}
token_rate=${GATEWAY_TOKEN_RATE:-50}
services="chain compliance rewards royalties"

# No instance is ever given up (max_fails): when a database restarts all of them fail alike, and somebody has to be asked.
# Connections are let go before the service lets them go (5 s), which would lose a request.
upstream() {
    eval "instances=\${GATEWAY_$(echo "$1" | tr a-z A-Z):-$1:8000}"
    echo "upstream $1 {"
    echo "    zone $1 64k;"
    printf '    server %s max_fails=0;\n' $instances
    echo "    keepalive 32;"
    echo "    keepalive_timeout 4s;"
    echo "}"
}

path() {
    case $1 in
        chain) echo "~^/api/blockchain/ chain;" ;;
        *) echo "~^/api/$1/ $1;" ;;
    esac
}

ready() {
    at="= /ready"
    for service; do
        echo "location $at { auth_request /ready/$service; try_files /- @after_$service; }"
        at=@after_$service
    done
    echo "location $at { default_type application/json; return 200 '{\"ready\":true}'; }"
}

umask 077
mkdir -p "$run/temp"
for service in $services; do upstream "$service"; done > "$run/upstreams.conf"
for service in $services; do path "$service"; done > "$run/paths.conf"
ready $services > "$run/ready.conf"

for origin in ${GATEWAY_ORIGINS:-}; do
    echo "\"$origin\" \$http_origin;"
done > "$run/origins.conf"

for proxy in ${GATEWAY_PROXIES:-}; do
    echo "set_real_ip_from $proxy;"
done > "$run/proxies.conf"
echo "real_ip_header X-Forwarded-For; real_ip_recursive on;" >> "$run/proxies.conf"

if [ -z "${GATEWAY_CERTIFICATE:-}" ] && [ ! -s "$certificate" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
        -addext "subjectAltName=DNS:localhost,DNS:gateway,IP:127.0.0.1" \
        -keyout "$key" -out "$certificate" 2> "$run/openssl.log" || { cat "$run/openssl.log" >&2; exit 1; }
fi

sed -e "s|@LISTEN@|${GATEWAY_LISTEN:-8443}|" -e "s|@CERTIFICATE@|$certificate|" -e "s|@KEY@|$key|" \
    -e "s|@CLIENT_RATE@|$client_rate|" -e "s|@CLIENT_BURST@|$((2 * client_rate))|" \
    -e "s|@TOKEN_RATE@|$token_rate|" -e "s|@TOKEN_BURST@|$((2 * token_rate))|" \
    -e "s|@BODY@|${GATEWAY_BODY_BYTES:-1048576}|" "$here/nginx.conf" > "$run/nginx.conf"

exec "${GATEWAY_NGINX:-nginx}" -e stderr -p "$run" -c "$run/nginx.conf" "$@"
