# The Go that builds the embedded MongoDB-wire server.  Sourced.

# Prints the path of a Go of version 1.23 or newer: the one on PATH, else
# the newest that Debian's golang-*-go packages left beside it.
find_go() {
    local go version

    for go in "$(command -v go)" $(printf '%s\n' /usr/lib/go-*/bin/go | sort -rV)
    do
        [[ -x $go ]] || continue
        version=$("$go" env GOVERSION 2>/dev/null)
        [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 23)) || continue
        printf '%s\n' "$go"
        return
    done
    return 1
}
