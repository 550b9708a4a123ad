# One line that shows how far something is.  Sourced.

# On a terminal the line changes; elsewhere there is one every ten seconds.
progress() {
    if [[ -t 1 ]]; then
        printf '\r\033[K%s' "$1"
        progress_open=1
    elif ((SECONDS - ${progress_last:-0} >= 10)); then
        printf '%s\n' "$1"
        progress_last=$SECONDS
    fi
}


progress_end() {
    if [[ -n ${progress_open:-} ]]; then
        printf '\r\033[K'
        progress_open=
    fi
}


# with_progress TEXT LOG COMMAND...: shows TEXT and the seconds until the
# command ends, which writes to LOG.
with_progress() {
    local text=$1 log=$2 began=$SECONDS pid

    shift 2
    "$@" >"$log" 2>&1 &
    pid=$!
    # what runs in the background does not get ctrl-C from the terminal
    trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS - began < 2)) || progress "$text, $((SECONDS - began)) s"
        sleep 0.2
    done
    trap - INT TERM
    progress_end
    wait "$pid"
}
