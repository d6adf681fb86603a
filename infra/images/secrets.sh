#!/bin/sh
# Prints the profiles to start, random passwords and a token key for docker-compose.yml: infra/images/secrets.sh > .env
# The databases keep the passwords of their first start; a new .env needs `docker compose down --volumes` first.
set -eu
umask 077

password() { openssl rand -hex 24; }

echo "COMPOSE_PROFILES=core,observe,backup"
echo "POSTGRES_PASSWORD=$(password)"
echo "GRAFANA_PASSWORD=$(password)"
echo "BACKUP_DB_PASSWORD=$(password)"
echo "ANNALS_BACKUP_KEKS=first:$(openssl rand -base64 32)"
for service in CHAIN COMPLIANCE REWARDS ROYALTIES; do
    echo "${service}_DB_PASSWORD=$(password)"
    echo "${service}_QUERY_DB_PASSWORD=$(password)"
    echo "${service}_OWNER_DB_PASSWORD=$(password)"
    echo "${service}_KEKS=first:$(openssl rand -base64 32)"
done
key=$(openssl genpkey -algorithm ed25519)
# The public key's 32 bytes end its DER form. The private one is given to the tools only, to mint tokens.
public=$(printf '%s\n' "$key" | openssl pkey -pubout -outform DER | tail -c 32 | openssl base64 -A)
printf 'ANNALS_JWT_PUBLIC_KEY=%s\nANNALS_JWT_PRIVATE_KEY=' "$public"
printf '%s\n' "$key" | awk 'NR > 1 { printf "%s", "\\n" } { printf "%s", $0 } END { print "" }'
