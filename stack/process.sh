# Processes of the local stack: start, watch, stop.  Sourced by v2mctl.
#
# A process is known by its id in $V2M_RUN/pids/NAME, and is ours only as long
# as its standard output is $V2M_RUN/logs/NAME.log: an id that was reused by
# someone else after a reboot or a crash is never signalled.

declare -A log_start # how long the log was before the process began

say() {
    printf '%s\n' "$*"
}


complain() {
    printf 'v2mctl: %s\n' "$*" >&2
}


die() {
    complain "$@"
    exit 1
}


# The id of a component that runs.
pid_of() {
    local pid

    read -r pid 2>/dev/null <"$V2M_RUN/pids/$1" || return 1
    [[ $pid =~ ^[1-9][0-9]*$ ]] || return 1
    [[ $(readlink "/proc/$pid/fd/1" 2>/dev/null) == "$V2M_RUN/logs/$1.log"* ]] \
        || return 1
    printf '%s' "$pid"
}


is_running() {
    pid_of "$1" >/dev/null
}


# launch NAME COMMAND...: in the background, in a session of its own, with no
# file of ours open but its log.
launch() {
    local name=$1 log=$V2M_RUN/logs/$1.log fd

    shift
    log_start[$name]=$(stat -c %s "$log" 2>/dev/null || echo 0)

    (
        for fd in "/proc/$BASHPID/fd/"*; do
            fd=${fd##*/}
            ((fd > 2)) && eval "exec $fd>&-"
        done
        exec setsid "$@"
    ) </dev/null >>"$log" 2>&1 &

    printf '%s\n' $! >"$V2M_RUN/pids/$name"
    disown $!
}


# What a component logged since launch, or all when it was not launched now.
log_since_launch() {
    tail -c "+$((${log_start[$1]:-0} + 1))" "$V2M_RUN/logs/$1.log" 2>/dev/null
}


# await NAME SECONDS: until NAME_ready says so.  Shows that it waits.
await() {
    local name=$1 limit=$2 began=$SECONDS shown=0 waited

    until "${name}_ready" 2>/dev/null; do
        waited=$((SECONDS - began))

        if ! kill -0 "$(<"$V2M_RUN/pids/$name")" 2>/dev/null; then
            died "$name" "ended while starting"
        fi

        if ((waited >= limit)); then
            halt "$name"
            died "$name" "was not ready after $limit s and was stopped"
        fi

        if ((waited >= 2 && waited > shown)); then
            progress "$(printf '%-10s starting, %d s' "$name" "$waited")"
            shown=$waited
        fi

        sleep 0.05
    done

    progress_end
    say "$(printf '%-10s ready      %s' "$name" "$("${name}_where")")"
}


died() {
    progress_end
    complain "$1 $2; the last lines of $V2M_RUN/logs/$1.log:"
    log_since_launch "$1" | tail -n 15 | sed 's/^/    /' >&2
    "${1}_hint" >&2
    exit 1
}


# tell NAME: asks it to end.  Once only: a second signal would end a worker in
# the middle of what it finishes.
tell() {
    local pid

    pid=$(pid_of "$1") && kill -TERM "$pid" 2>/dev/null
}


# await_end NAME [SECONDS]: until it has ended; after so many seconds makes it.
await_end() {
    local name=$1 limit=${2:-40} began=$SECONDS shown=0 waited

    while is_running "$name"; do
        waited=$((SECONDS - began))

        if ((waited >= limit)); then
            complain "$name did not end within $limit s and is killed"
            kill -KILL "$(pid_of "$name")" 2>/dev/null
            limit=$((limit + 10))
        fi

        if ((waited >= 2 && waited > shown)); then
            progress "$(printf '%-10s stopping, %d s' "$name" "$waited")"
            shown=$waited
        fi

        sleep 0.05
    done

    progress_end
    rm -f "$V2M_RUN/pids/$name"
}


halt() {
    tell "$1"
    await_end "$1"
}


# Whether something accepts connections on a port of 127.0.0.1.
port_open() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}


# need_port PORT NAME: fails when someone has the port.
need_port() {
    port_open "$1" || return 0

    complain "port $1, which $2 needs, is in use$(port_owner "$1")"
    die "stop that program, or choose other ports: V2M_PORT_BASE=9000 (the" \
        "stack uses eight ports from there)"
}


port_owner() {
    command -v ss >/dev/null || return 0
    ss -Hltnp "sport = :$1" 2>/dev/null \
        | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ by \1 (process \2)/p' \
        | head -n 1
}


# greeting PORT TEXT [REQUEST]: whether the server on this port begins its
# answer to the request (none: its greeting) with this text.
greeting() {
    local answer

    answer=$(
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        [[ -z ${3:-} ]] || printf '%b' "$3" >&3
        LC_ALL=C IFS= read -r -t 2 -n ${#2} -u 3 answer
        printf '%s' "$answer"
    ) 2>/dev/null

    [[ $answer == "$2" ]]
}
