# The programs of v2m itself, as backends.sh has the servers.  Sourced by
# v2mctl.

services=(gateway converter notifier sweep)


# need_program PATH: fails with what to do when it is not built.
need_program() {
    [[ -e $1 ]] || die "$1 is missing; build it first: make build" \
        "$([[ $V2M_BUILD != */sanitize ]] || echo SANITIZE=1)"
}


# Reports of the sanitizers, when built with them, go to files of their own.
sanitizer_options() {
    local log=$V2M_RUN/logs/sanitizer

    mkdir -p "$log"
    printf '%s\n' \
        "ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}exitcode=99:log_path=$log/$1" \
        "UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}print_stacktrace=1:log_path=$log/$1" \
        "LSAN_OPTIONS=print_suppressions=0:suppressions=$top/t/lsan.supp"
}


# launch_service NAME COMMAND...
launch_service() {
    local name=$1 options

    shift
    mapfile -t options < <(sanitizer_options "$name")
    launch "$name" env "${options[@]}" "$@"
}


# The gateway: nginx with our module.

write_nginx_conf() {
    local root_user= accounts=

    ((EUID != 0)) || root_user="user root;"
    [[ $V2M_ACCOUNTS == off ]] \
        || accounts="include \"$top/nginx-conf/v2m-accounts.conf\";"

    cat >"$V2M_RUN/nginx.conf" <<EOF
# Written by v2mctl for the local stack; nginx-conf/ has the configuration to
# deploy.

load_module "$V2M_BUILD/ngx_http_v2m_module.so";

$root_user
daemon           off;
worker_processes auto;
pid              "$V2M_RUN/nginx/nginx.pid";
error_log        stderr notice;

worker_shutdown_timeout 1h;

thread_pool v2m_storage threads=16 max_queue=1024;
thread_pool v2m_login   threads=1  max_queue=64;

events {
    worker_connections 4096;
}

http {
    include "$top/nginx-conf/v2m-http.conf";

    access_log "$V2M_RUN/logs/access.log" v2m;

    client_body_temp_path "$V2M_RUN/nginx/body";
    proxy_temp_path       "$V2M_RUN/nginx/proxy";
    fastcgi_temp_path     "$V2M_RUN/nginx/fastcgi";
    uwsgi_temp_path       "$V2M_RUN/nginx/uwsgi";
    scgi_temp_path        "$V2M_RUN/nginx/scgi";

    server {
        listen      127.0.0.1:$gateway_port;
        server_name localhost;

        include "$top/nginx-conf/v2m-locations.conf";
        $accounts
    }
}
EOF
}


gateway_external() {
    false
}


gateway_start() {
    local module=$V2M_BUILD/ngx_http_v2m_module.so preload=() library

    need_program "$module"
    command -v "$V2M_NGINX" >/dev/null \
        || die "nginx ($V2M_NGINX) is missing; install it: make packages"
    need_port "$gateway_port" gateway

    mkdir -p "$V2M_RUN/nginx"
    ln -sfn "$top/web" "$V2M_RUN/nginx/v2m-web"
    write_nginx_conf

    # a module built with AddressSanitizer in an nginx that was not
    library=$(ldd "$module" | awk '/libasan/ { print $3 }')
    if [[ -n $library ]] \
        && ! ldd "$(command -v "$V2M_NGINX")" | grep -q libasan
    then
        preload=("LD_PRELOAD=$library")
    fi

    # one connection to a client is one open file
    ulimit -Sn "$(ulimit -Hn)" 2>/dev/null || true

    launch_service gateway "${preload[@]}" "$V2M_NGINX" \
        -p "$V2M_RUN/nginx/" -e stderr -c "$V2M_RUN/nginx.conf"
}


gateway_ready() {
    curl -fsS -o /dev/null --noproxy '*' -m 5 \
        "http://127.0.0.1:$gateway_port/readyz"
}


gateway_where() {
    say "http://127.0.0.1:$gateway_port"
}


gateway_hint() {
    say "v2mctl: what its backends do is in $V2M_RUN/logs too, and: $top/v2mctl status"
}


# The workers.

start_worker() {
    local name=$1

    shift
    need_program "$V2M_BUILD/v2m-$name"
    launch_service "$name" "$V2M_BUILD/v2m-$name" "$@"
}


worker_consumes() {
    log_since_launch "$1" | grep -q 'consuming from queue'
}


converter_external() { false; }
converter_start() { start_worker converter; }
converter_ready() { worker_consumes converter; }
converter_where() { say "queue ${VIDEO_QUEUE:-video}"; }
converter_hint() { :; }

notifier_external() { false; }
notifier_start() {
    # that of another MariaDB is the environment's to tell
    if [[ $V2M_ACCOUNTS == on ]] && ! mariadb_external; then
        secret mysql-notifier >/dev/null
        export MYSQL_NOTIFIER_PASSWORD=
        export MYSQL_NOTIFIER_PASSWORD_FILE=$V2M_RUN/secrets/mysql-notifier
    fi
    start_worker notifier
}
notifier_ready() { worker_consumes notifier; }
notifier_where() { say "queue ${MP3_QUEUE:-mp3}"; }
notifier_hint() { :; }

# It says nothing as long as there is nothing to do.
sweep_external() { false; }
sweep_start() { start_worker sweep --every 5; }
sweep_ready() { [[ $(readlink "/proc/$(pid_of sweep)/exe") == */v2m-sweep ]]; }
sweep_where() { say "every 5 s"; }
sweep_hint() { :; }


# The account to try things with.
make_demo_user() {
    local command password

    password=$(secret demo)

    # an account that is there already gets this password
    for command in add passwd; do
        if printf '%s\n' "$password" \
            | run_v2m_user "$command" "$demo_user" >"$V2M_RUN/logs/user.log" 2>&1
        then
            return 0
        fi
    done

    complain "the user $demo_user could not be made:"
    sed 's/^/    /' "$V2M_RUN/logs/user.log" >&2
    return 1
}


# v2m-user with the right to write the users' table.
run_v2m_user() {
    need_program "$V2M_BUILD/v2m-user"

    if mariadb_external; then
        "$V2M_BUILD/v2m-user" "$@"
    else
        MYSQL_USER=v2m_admin MYSQL_PASSWORD=$(secret mysql-admin) \
            "$V2M_BUILD/v2m-user" "$@"
    fi
}
