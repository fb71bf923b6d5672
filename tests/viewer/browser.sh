#!/bin/bash
# Tries the viewer in a headless Chromium. `install` installs it and its driver from Debian's packages, unless they are
# there. `run [NEW_FOLDER]` fetches axe-core from the npm registry into a new folder and runs the tests. PYTHON: the
# interpreter, by default python.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=4.10.3
case ${1:-} in
    install)
        command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit 0
        command -v apt-get >/dev/null || { echo "neither Chromium nor apt-get is there" >&2; exit 1; }
        sudo=""
        [ "$(id -u)" = 0 ] || sudo="sudo -n"
        timeout 60 $sudo apt-get update -qq
        DEBIAN_FRONTEND=noninteractive timeout 120 $sudo apt-get install -y -qq --no-install-recommends \
            chromium chromium-driver >/dev/null
        ;;
    run)
        folder=${2:-$(mktemp -d)}
        mkdir -p "$folder"
        chosen=()
        if (cd "$folder" && timeout 60 npm pack --silent "axe-core@$version" && tar -xzf axe-core-*.tgz package/axe.min.js); then
            export PERKEY_AXE=$folder/package/axe.min.js
        else
            chosen=(-k "not axe")
            echo "!!! WITHOUT axe-core: npm is not installed or the npm registry does not answer. !!!"
        fi
        export PERKEY_CHROMIUM
        PERKEY_CHROMIUM=$(command -v chromium)
        cd "$here/../.."
        "${PYTHON:-python}" -m pytest -q tests/viewer/test_browser.py ${chosen[@]+"${chosen[@]}"}
        ;;
    *)
        echo "usage: browser.sh install | run [NEW_FOLDER]" >&2
        exit 2
        ;;
esac
