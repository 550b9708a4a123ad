# The servers that v2m needs.  Sourced by v2mctl.
#
# For each NAME: NAME_start launches it, NAME_ready asks whether it serves,
# NAME_where says where, NAME_hint what to do when it did not start, and
# NAME_external whether the environment gave one that runs elsewhere.


# MongoDB: a mongod on PATH, else the embedded one.

mongo_external() {
    [[ $V2M_MONGO_URI != "$own_mongo_uri" ]]
}


mongo_start() {
    local data

    need_port "$mongo_port" mongo

    if command -v mongod >/dev/null; then
        data=$V2M_RUN/mongod
        mkdir -p "$data"
        launch mongo mongod --dbpath "$data" --bind_ip 127.0.0.1 \
            --port "$mongo_port" --wiredTigerCacheSizeGB 0.25
        return
    fi

    # again when its sources have changed since
    if [[ ! -x $top/build/v2m-mongo
        || -n $(find "$top/docker/mongo" -newer "$top/build/v2m-mongo" \
            -name '*.go' -print -quit) ]]
    then
        "$top/stack/build-mongo.sh" "$top/build/v2m-mongo" || exit 1
    fi

    data=$V2M_RUN/mongo
    mkdir -p "$data"
    launch mongo "$top/build/v2m-mongo" -listen "127.0.0.1:$mongo_port" \
        -dir "$data"
}


# Whether there is a reply to {ping: 1, $db: "admin"}.
mongo_ready() {
    local ping='\x33\0\0\0\x1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0'

    ping+='\x1e\0\0\0\x10ping\0\x1\0\0\0\x02$db\0\x6\0\0\0admin\0\0'

    (
        exec 3<>"/dev/tcp/127.0.0.1/$mongo_port"
        printf '%b' "$ping" >&3
        LC_ALL=C IFS= read -r -t 2 -n 1 -u 3
    ) 2>/dev/null
}


mongo_where() {
    say "$own_mongo_uri"
}


mongo_hint() {
    say "v2mctl: if its data is damaged: $top/v2mctl down; rm -r $V2M_RUN/mongo*"
}


# MariaDB

mariadb_external() {
    [[ $MYSQL_HOST:$MYSQL_PORT != 127.0.0.1:$mariadb_port ]]
}


mariadb_start() {
    local data=$V2M_RUN/mariadb as=()

    need_port "$mariadb_port" mariadb
    ((EUID != 0)) || as=(--user=root)

    # at its start MariaDB removes the temporary tables of every other MariaDB
    # whose directory for them is the same
    mkdir -p "$data.tmp"

    if [[ ! -f $data/.complete ]]; then
        rm -rf "$data"
        mkdir -m 700 "$data"
        # whoever runs the stack is the administrator, through the socket
        if ! mariadb-install-db --no-defaults "${as[@]}" --datadir="$data" \
            --tmpdir="$data.tmp" --auth-root-authentication-method=socket \
            --auth-root-socket-user="$(id -un)" --skip-test-db \
            </dev/null >>"$V2M_RUN/logs/mariadb.log" 2>&1
        then
            died mariadb "could not make its database"
        fi
        touch "$data/.complete"
    fi

    # the path of a socket is limited to about 100 bytes: relative to $data
    launch mariadb mariadbd --no-defaults "${as[@]}" --datadir="$data" \
        --tmpdir="$data.tmp" \
        --bind-address=127.0.0.1 --port="$mariadb_port" \
        --socket=mariadb.sock --pid-file=mariadb.pid --skip-name-resolve \
        --skip-log-bin --character-set-server=utf8mb4 --max-connections=100 \
        --innodb-buffer-pool-size=16M --innodb-log-file-size=8M \
        --key-buffer-size=1M --aria-pagecache-buffer-size=1M
}


# As its administrator; SQL on standard input.
mariadb_admin() {
    (
        cd "$V2M_RUN/mariadb" || exit 1
        # the client would read MYSQL_HOST
        env -u MYSQL_HOST mariadb --no-defaults --protocol=socket \
            --socket=mariadb.sock --user="$(id -un)" --connect-timeout=2 "$@"
    )
}


mariadb_ready() {
    mariadb_admin -e 'SELECT 1' </dev/null >/dev/null
}


mariadb_where() {
    say "127.0.0.1:$mariadb_port"
}


mariadb_hint() {
    say "v2mctl: if its data is damaged: $top/v2mctl down; rm -r $V2M_RUN/mariadb"
}


# The users' database, and its three database users.
mariadb_prepare() {
    (
        cd "$V2M_RUN/mariadb" || exit 1
        MYSQL_SOCKET=mariadb.sock MYSQL_ROOT_USER=$(id -un) MYSQL_DB=auth \
            MYSQL_USER=v2m MYSQL_PASSWORD=$(secret mysql) \
            MYSQL_ADMIN_PASSWORD=$(secret mysql-admin) \
            MYSQL_NOTIFIER_PASSWORD=$(secret mysql-notifier) \
            "$top/auth/v2m-schema" >/dev/null
    ) || die "the users' database could not be made in MariaDB"
}


# RabbitMQ, with a port mapper of its own: the Erlang VM would start a shared
# one that outlives the stack.

rabbitmq_external() {
    [[ $V2M_AMQP_URL != "$own_amqp_url" ]]
}


rabbitmq_start() {
    local home=$V2M_RUN/rabbitmq program

    need_port "$rabbitmq_port" rabbitmq
    mkdir -p "$home" && chmod 700 "$home"

    ( umask 077 && secret rabbitmq-cookie >"$home/.erlang.cookie" )
    say '[].' >"$home/enabled_plugins"

    # Long conversions hold their delivery for hours: consumer_timeout is in
    # milliseconds.
    ( umask 077 && cat >"$home/rabbitmq.conf" ) <<EOF
listeners.tcp.1                   = 127.0.0.1:$rabbitmq_port
default_user                      = v2m
default_pass                      = $(secret rabbitmq)
consumer_timeout                  = 86400000
vm_memory_high_watermark.absolute = 512MiB
disk_free_limit.absolute          = 100MB
log.console                       = true
log.console.level                 = info
log.file                          = false
EOF

    if ! is_running epmd; then
        need_port "$epmd_port" "rabbitmq's port mapper"
        launch epmd epmd -address 127.0.0.1 -port "$epmd_port"
        await epmd 10 >/dev/null
    fi
    need_port "$erlang_port" "rabbitmq's Erlang distribution"

    program=/usr/lib/rabbitmq/bin/rabbitmq-server
    [[ -x $program ]] || program=rabbitmq-server

    # RUNNING_UNDER_SYSTEMD: the script becomes the VM, which then has our id
    # and stops by itself when signalled.
    launch rabbitmq env -u NOTIFY_SOCKET \
        HOME="$home" \
        RUNNING_UNDER_SYSTEMD=true \
        RABBITMQ_NODENAME="v2m-$rabbitmq_port@localhost" \
        RABBITMQ_CONF_ENV_FILE=/dev/null \
        RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$home/mnesia" \
        RABBITMQ_LOG_BASE="$home/log" \
        RABBITMQ_PID_FILE="$home/pid" \
        RABBITMQ_DIST_PORT="$erlang_port" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
        ERL_EPMD_PORT="$epmd_port" \
        ERL_EPMD_ADDRESS=127.0.0.1 \
        "$program"
}


# The answer to the protocol header is a method frame, type 1.
rabbitmq_ready() {
    greeting "$rabbitmq_port" $'\x01' 'AMQP\0\0\t\x1'
}


rabbitmq_where() {
    say "127.0.0.1:$rabbitmq_port"
}


rabbitmq_hint() {
    say "v2mctl: if its data is damaged: $top/v2mctl down; rm -r $V2M_RUN/rabbitmq"
}


epmd_ready() {
    port_open "$epmd_port"
}


epmd_where() {
    say "127.0.0.1:$epmd_port"
}


epmd_hint() {
    :
}


# Mail: whatever is sent is kept in a Maildir.

smtp_external() {
    [[ $V2M_SMTP_URL != "$own_smtp_url" ]]
}


smtp_start() {
    need_port "$smtp_port" smtp
    launch smtp env PYTHONUNBUFFERED=1 /usr/bin/python3 \
        "$top/stack/smtp-sink.py" --listen "127.0.0.1:$smtp_port" \
        --maildir "$V2M_MAILDIR"
}


smtp_ready() {
    greeting "$smtp_port" "220 "
}


smtp_where() {
    say "$own_smtp_url, keeps mail in $V2M_MAILDIR"
}


smtp_hint() {
    :
}
