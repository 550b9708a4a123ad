#!/bin/bash
#
# Builds the embedded MongoDB-wire server: stack/build-mongo.sh FILE

set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

. "$top/stack/progress.sh"
. "$top/stack/go.sh"

fail() {
    printf 'mongo: %s\n' "$@" >&2
    exit 1
}

[[ $# == 1 ]] || { sed -n '3s/^# //p' "$0" >&2; exit 2; }
file=$(realpath -m "$1")

go=$(find_go) \
    || fail "the embedded MongoDB server is built with Go 1.23 or newer, and" \
            "there is none: make packages installs it.  Or give a MongoDB that" \
            "runs: V2M_MONGO_URI=mongodb://HOST:PORT"

# go.mod wants a newer Go than Debian 12 has; Go fetches that one by itself.
version=$("$go" env GOVERSION)
if [[ $version =~ ^go1\.23 ]]; then
    export GOTOOLCHAIN=go1.24.13
fi

mkdir -p "${file%/*}"
log=${file%/*}/build-mongo.log

echo "mongo      building the embedded server, once (about a minute; $log)"
cd "$top/docker/mongo" || exit 1
if ! with_progress "mongo      building" "$log" \
    "$go" build -trimpath -o "$file.new" .
then
    tail -n 15 "$log" | sed 's/^/    /' >&2
    fail "it could not be built.  Its modules come from the Go module proxy" \
         "(go env GOPROXY): can this machine reach it?  Then run the same" \
         "command again.  Or give a MongoDB that runs:" \
         "V2M_MONGO_URI=mongodb://HOST:PORT"
fi
mv "$file.new" "$file"
