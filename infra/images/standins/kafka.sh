#!/bin/bash
# KAFKA_LOG_DIRS=/data becomes log.dirs=/data; the storage is formatted the first time; then this becomes the server.
set -e
properties=/opt/kafka/config/server.properties
while IFS='=' read -r name value; do
    name=${name#KAFKA_}
    name=${name,,}
    echo "${name//_/.}=$value"
done < <(env | grep '^KAFKA_') > "$properties"

kafka() { java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' "$@"; }
kafka kafka.tools.StorageTool format --ignore-formatted --cluster-id 5L6g3nShT-eMCtK--X86sw --config "$properties"
exec java -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp '/opt/kafka/libs/*' kafka.Kafka "$properties"
