#!/bin/bash
#
# Installs the Debian packages that are missing.
#
#   stack/packages.sh [--quiet] SET...
#
# SET: run   what building and running v2m takes
#      test  what only the tests take
#      analyze  what only static analysis takes
#      fuzz  what only fuzzing takes
#      bench what only the benchmarks take
#      containers, debian  what building images and Debian packages takes
#
# The tests of the API's description, of the page, of resumable uploads and of
# webhooks need packages that Debian has not: they come by pip, in the versions
# of t/e2e/NAME-requirements.txt, into build/openapi, build/page, build/resumable
# and build/webhook.
#
# Nothing is installed, and nobody is asked for a password, when nothing is
# missing; --quiet then says nothing.  The services that packages bring are
# neither started now nor enabled for the next boot: the local stack runs
# servers of its own.

set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log=$top/build/packages.log

. "$top/stack/progress.sh"
. "$top/stack/go.sh"

build_packages=(
    gcc libc6-dev make pkgconf
    nginx nginx-dev
    libmongoc-dev libjansson-dev librabbitmq-dev libmariadb-dev libjwt-dev
    libssl-dev
    libcrypt-dev libcurl4-openssl-dev libmicrohttpd-dev libseccomp-dev
    libavformat-dev libavcodec-dev libavfilter-dev libswresample-dev
    libavutil-dev libebur128-dev
)

stack_packages=(
    mariadb-server mariadb-client rabbitmq-server ffmpeg
    python3 python3-aiosmtpd
    curl ca-certificates procps iproute2
)

test_packages=(
    libcmocka-dev libtest-nginx-perl libhttp-message-perl perl
    python3-pytest python3-pytest-xdist python3-pymongo python3-gridfs
    python3-bson python3-pika python3-yaml python3-venv
    chromium chromium-driver python3-selenium fonts-liberation
    nghttp2-client clang-format shellcheck cppcheck valgrind git openssl mandoc jq
    prometheus
)

analyze_packages=(clang clang-tidy)

fuzz_packages=(clang llvm libclang-rt-dev)

bench_packages=(
    wrk nghttp2-client openssl default-jre-headless maven
    python3-pymongo python3-bson
)

container_packages=(
    podman buildah crun netavark aardvark-dns iptables debootstrap ffmpeg
)

debian_packages=(
    debootstrap git
)

# What packages start by themselves: not wanted here.
services=(nginx mariadb mariadb.socket rabbitmq-server epmd.service epmd.socket
    prometheus)


say() {
    printf '%s\n' "$*"
}


fail() {
    progress_end
    printf 'packages: %s\n' "$@" >&2
    exit 1
}


# missing PACKAGE...: those that are not installed.
missing() {
    local name state
    local -A installed=()

    while read -r name state; do
        [[ $state != installed ]] || installed[${name%%:*}]=1
    done < <(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' \
        "$@" 2>/dev/null)

    for name in "$@"; do
        [[ -n ${installed[$name]:-} ]] || printf '%s\n' "$name"
    done
}


# Whether the embedded MongoDB-wire server has to be built, and cannot be.
need_go() {
    [[ -z ${V2M_MONGO_URI:-} && -z ${V2M_MONGO_URI_FILE:-} ]] \
        && ! command -v mongod >/dev/null \
        && [[ ! -x $top/build/v2m-mongo ]] \
        && ! find_go >/dev/null
}


# The part that needs the administrator's rights.  Prints apt-get's words, and
# its state for show_progress.

# candidate PACKAGE [VERSION]: whether apt can install it, that new at least.
candidate() {
    local found

    found=$(LC_ALL=C apt-cache policy "$1" 2>/dev/null \
        | sed -n 's/^ *Candidate: //p')
    [[ -n $found && $found != "(none)" ]] \
        && dpkg --compare-versions "$found" ge "${2:-0}"
}


# release SUITE PACKAGE REASON: lets apt take PACKAGE from another suite of
# this machine's own mirror, and nothing but what is asked for by name.
release() {
    local suite=$1 package=$2 line uri signed
    local source=/etc/apt/sources.list.d/v2m-$suite.sources
    local codename

    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    line=$(apt-get indextargets --format \
        '$(REPO_URI) $(COMPONENT) $(RELEASE) $(SIGNED_BY)' \
        'Created-By: Packages' 'Origin: Debian' \
        | grep -E "^[^ ]+ main (${codename:-stable}|stable|testing|unstable|sid) " \
        | head -n 1)

    if [[ -z $line ]]; then
        say "E: $package is in Debian's $suite, but no Debian mirror is" \
            "among this machine's apt sources"
        return 1
    fi

    read -r uri _ _ signed <<<"$line"
    [[ $signed == /* ]] || signed=/usr/share/keyrings/debian-archive-keyring.gpg

    say "adding $source for $package, $3"
    cat >"$source" <<SOURCE
# Written by v2m for $package alone; /etc/apt/preferences.d/v2m-$suite
# keeps everything else of it away.
Types: deb
URIs: $uri
Suites: $suite
Components: main
$([[ ! -r $signed ]] || say "Signed-By: $signed")
SOURCE
    cat >"/etc/apt/preferences.d/v2m-$suite" <<PIN
Explanation: v2m takes $package from $suite, which must replace nothing.
Package: *
Pin: release n=$suite
Pin-Priority: 50
PIN

    apt_get update -o Dir::Etc::sourcelist="$source" \
        -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
    candidate "$package"
}


apt_get() {
    apt-get -y -q -o Acquire::Retries=2 -o Acquire::http::Timeout=30 \
        -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
        -o APT::Status-Fd=3 "$@" 3>&1
}


# Keeps maintainer scripts from starting services until the end.
policy=/usr/sbin/policy-rc.d
kept=/usr/sbin/policy-rc.d.before-v2m

deny_services() {
    # when an earlier run was killed, the true one is kept already
    if [[ -e $policy && ! -e $kept ]] && ! grep -qs 'v2m' "$policy"; then
        mv "$policy" "$kept"
    fi
    printf '#!/bin/sh\n# v2m, while it installs packages\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}


allow_services() {
    if [[ -e $kept ]]; then
        mv "$kept" "$policy"
    else
        rm -f "$policy"
    fi
}


install_as_root() {
    local names=("$@") name enabled=() go

    export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 NEEDRESTART_MODE=l
    umask 022

    for name in "${services[@]}"; do
        [[ ! -e $(unit_file "$name") ]] || enabled+=("$name")
    done

    apt_get update || say "W: some package lists could not be fetched"

    for name in "${!names[@]}"; do
        case ${names[name]} in
            libtest-nginx-perl)
                candidate libtest-nginx-perl \
                    || release forky libtest-nginx-perl "the tests of nginx" \
                    || return 1
                ;;
            go)
                go=golang-1.23-go
                if candidate golang-go 2:1.23; then
                    go=golang-go
                elif ! candidate "$go"; then
                    release bookworm-backports "$go" \
                        "to build the MongoDB server" || return 1
                fi
                names[name]=$go
                ;;
        esac
    done

    trap allow_services EXIT
    trap 'exit 130' INT TERM HUP
    deny_services
    apt_get install --no-install-recommends "${names[@]}" || return 1

    # those that came now
    for name in "${services[@]}"; do
        if [[ -e $(unit_file "$name") && " ${enabled[*]} " != *" $name "* ]]
        then
            systemctl --quiet disable "$name" 2>/dev/null \
                && say "not started at boot: $name"
        fi
    done
    return 0
}


unit_file() {
    local name=$1

    [[ $name == *.* ]] || name+=.service
    printf '%s' "/lib/systemd/system/$name"
}


# Runs install_as_root as root.
as_root() {
    local pass=() name

    if ((EUID == 0)); then
        "$BASH" "${BASH_SOURCE[0]}" --as-root "$@"
        return
    fi

    for name in http_proxy https_proxy no_proxy; do
        [[ -z ${!name:-} ]] || pass+=("$name=${!name}")
    done
    sudo env "${pass[@]}" "$BASH" "${BASH_SOURCE[0]}" --as-root "$@"
}


may_be_root() {
    ((EUID != 0)) || return 0

    command -v sudo >/dev/null \
        || fail "installing takes the administrator's rights, and there is no sudo." \
                "As root, run:  cd $top && stack/packages.sh ${sets[*]}"

    sudo -n true 2>/dev/null || sudo -v \
        || fail "sudo did not give the administrator's rights." \
                "As root, run:  cd $top && stack/packages.sh ${sets[*]}"
}


# What pip brings, anew when a list changed.
python_packages() {
    [[ " ${sets[*]} " == *" test "* ]] || return 0

    by_pip openapi "the API's description"
    # for a file in it, no program
    by_pip page "the page" --no-deps
    by_pip resumable "resumable uploads"
    by_pip webhook "webhooks"
}


# by_pip NAME WHAT [OPTION...]
by_pip() {
    local list=$top/t/e2e/$1-requirements.txt place=$top/build/$1 what=$2

    shift 2
    ! cmp -s "$list" "$place/installed" || return 0

    mkdir -p "$top/build"
    [[ -n $quiet ]] || say "packages   installing what tests $what"
    if ! { rm -rf "$place" && /usr/bin/python3 -m venv "$place" \
        && "$place/bin/pip" install -q --disable-pip-version-check "$@" \
            -r "$list" && cp "$list" "$place/installed"; } >>"$log" 2>&1
    then
        tail -n 5 "$log" | sed 's/^/    /' >&2
        fail "pip could not install ${list#"$top/"}, see $log"
    fi
}


# Reads apt-get's words, keeps them, and shows how far it is.
show_progress() {
    local line

    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
            dlstatus:*) progress "packages   downloading$(percent "$line")" ;;
            pmstatus:*) progress "packages   installing$(percent "$line")" ;;
            adding\ * | not\ started\ *)
                progress_end
                say "packages   $line"
                ;;
        esac
    done
    progress_end
}


# The percentage in one of apt-get's lines of state.
# dlstatus:NUMBER:PERCENT:TEXT, pmstatus:PACKAGE[:ARCHITECTURE]:PERCENT:TEXT
percent() {
    [[ $1 =~ ^dlstatus:[0-9]+():([0-9]+)
        || $1 =~ ^pmstatus:[^:]+(:[a-z][a-z0-9]*)?:([0-9]+) ]] \
        && printf ', %d %%' "${BASH_REMATCH[2]}"
}


explain_failure() {
    progress_end
    {
        say "packages: not everything could be installed; the last lines of $log:"
        grep -v '^[dp][lm]status:' "$log" | tail -n 12 | sed 's/^/    /'
        if grep -qE 'Could not (resolve|connect)|Temporary failure|Unable to connect|timed out|Failed to fetch' "$log"
        then
            say "packages: the package mirror cannot be reached: is there a" \
                "network, and does it take http_proxy to reach it?  When it is" \
                "back, run the same command again."
        elif grep -q 'Unable to locate package\|has no installation candidate' "$log"
        then
            say "packages: v2m's packages are those of Debian 12 and 13; here" \
                "some are missing.  Install what they hold in another way," \
                "and run make with PACKAGES=no."
        else
            say "packages: when apt-get works again, run the same command again."
        fi
    } >&2
    exit 1
}


main() {
    local quiet='' wanted=() lacking=() why are name began

    sets=()
    for name in "$@"; do
        case $name in
            --quiet) quiet=1 ;;
            run)
                sets+=(run)
                wanted+=("${build_packages[@]}" "${stack_packages[@]}")
                ;;
            test)
                sets+=(test)
                wanted+=("${test_packages[@]}")
                ;;
            analyze)
                sets+=(analyze)
                wanted+=("${analyze_packages[@]}")
                ;;
            fuzz)
                sets+=(fuzz)
                wanted+=("${fuzz_packages[@]}")
                ;;
            bench)
                sets+=(bench)
                wanted+=("${bench_packages[@]}")
                ;;
            containers)
                sets+=(containers)
                wanted+=("${container_packages[@]}")
                ;;
            debian)
                sets+=(debian)
                wanted+=("${debian_packages[@]}")
                ;;
            *)
                sed -n '3,21s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
                exit 2
                ;;
        esac
    done
    ((${#sets[@]} > 0)) || sets=(run)
    [[ $# -gt 0 ]] || wanted=("${build_packages[@]}" "${stack_packages[@]}")

    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null
    then
        say "packages: this is not Debian; install by hand what is missing of:" \
            "${wanted[*]}"
        exit 0
    fi

    mapfile -t lacking < <(missing "${wanted[@]}")
    [[ ! " ${sets[*]} " == *" run "* ]] || ! need_go || lacking+=(go)

    if ((${#lacking[@]} == 0)); then
        python_packages
        [[ -n $quiet ]] || say "packages   nothing is missing"
        return 0
    fi

    case "${sets[*]}" in
        run) why="build and run v2m" ;;
        test) why="test v2m" ;;
        *fuzz*) why="build and fuzz v2m" ;;
        containers) why="build and run v2m's images" ;;
        debian) why="build v2m's packages" ;;
        *bench*) why="build, run and measure v2m" ;;
        *) why="build, run and test v2m" ;;
    esac
    are=are
    ((${#lacking[@]} != 1)) || are=is
    say "packages   to $why, ${#lacking[@]} $are missing, and $are installed" \
        "now with what is needed:" | fold -s -w 78 | sed 's/ *$//'
    say "${lacking[*]}" | fold -s -w 66 | sed 's/^/           /; s/ *$//'

    may_be_root
    mkdir -p "${log%/*}"
    : >"$log"
    # root may run this for somebody else
    ((EUID != 0)) || chown --reference="$top" "${log%/*}" "$log"

    began=$SECONDS
    set -o pipefail
    as_root "${lacking[@]}" 2>&1 | show_progress || explain_failure
    python_packages
    say "packages   installed in $((SECONDS - began)) s"
}


if [[ ${1:-} == --as-root ]]; then
    shift
    install_as_root "$@"
else
    main "$@"
fi
