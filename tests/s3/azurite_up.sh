#!/bin/bash
# Installs Azurite from the npm registry into a new folder, and starts its blob service on 127.0.0.1, in memory.
# Needs node and npm. Stop: kill $(cat FOLDER/azurite.pid)
set -euo pipefail
folder=${1:?usage: azurite_up.sh NEW_FOLDER [PORT]}
port=${2:-10000}
version=3.35.0
command -v node >/dev/null && command -v npm >/dev/null || { echo "node or npm is not installed" >&2; exit 1; }
[ -z "$(ls -A "$folder" 2>/dev/null)" ] || { echo "$folder is not empty" >&2; exit 2; }
mkdir -p "$folder"
npm install --silent --no-audit --no-fund --prefix "$folder" "azurite@$version"
# Newer clients ask for versions of the protocol that Azurite does not know by name.
node "$folder/node_modules/azurite/dist/src/blob/main.js" --blobHost 127.0.0.1 --blobPort "$port" \
    --inMemoryPersistence --skipApiVersionCheck --disableTelemetry --silent >"$folder/azurite.log" 2>&1 &
echo $! >"$folder/azurite.pid"
for _ in $(seq 150); do
    kill -0 "$(cat "$folder/azurite.pid")" 2>/dev/null || break
    if grep -q "successfully listens" "$folder/azurite.log"; then
        echo "Azurite $version listens on 127.0.0.1:$port"
        exit 0
    fi
    sleep 0.2
done
cat "$folder/azurite.log" >&2
kill "$(cat "$folder/azurite.pid")" 2>/dev/null || true
exit 1
