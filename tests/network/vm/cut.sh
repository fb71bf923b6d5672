#!/bin/bash
# cut.sh down|up: in the guest, take the network link of client A down or up, as if its cable were pulled.
# The link's end `toA` is in the guest's main namespace, where two_clients.py runs.
set -euo pipefail
case ${1:-} in
    down | up) exec ip link set toA "$1" ;;
    *) sed -n '2s/# //p' "$0" >&2; exit 2 ;;
esac
