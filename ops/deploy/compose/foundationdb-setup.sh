#!/bin/bash
# Run once for each start of the project, in FoundationDB's image: leaves the cluster file where the nodes may rewrite it,
# makes the database if there is none, and ends when it is there to be used. Does no harm when run again.
set -euo pipefail

file=${FDB_CLUSTER_FILE:?}
owner=${GODWIT_USER:?}

# One that is there already may name coordinators that were moved since.
[ -s "$file" ] || echo "${FDB_CLUSTER_FILE_CONTENTS:?}" >"$file"
chown "$owner:$owner" "$(dirname "$file")" "$file"

ask() { fdbcli -C "$file" --timeout 10 --exec "$1" 2>&1 || true; }

until ask 'status minimal' | grep -q 'database is available'; do
  ask "configure new ${FDB_REDUNDANCY:-double} ssd"
  sleep 2
done
ask 'status minimal'
