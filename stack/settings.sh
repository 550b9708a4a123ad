# What the local stack is made of: ports, secrets, addresses, and the files
# that say so to programs and people.  Sourced by v2mctl.


# Gives the variables their values: from the environment, else what the
# running stack was started with, else our own.
load_settings() {
    local name value file

    # a value given as a file is as good as the value
    for name in V2M_MONGO_URI V2M_AMQP_URL V2M_SMTP_URL MYSQL_PASSWORD; do
        file=${name}_FILE
        if [[ -n ${!file:-} ]]; then
            [[ -r ${!file} ]] || die "$file: ${!file} cannot be read"
            printf -v "$name" '%s' "$(<"${!file}")"
            unset "$file"
        fi
    done

    if [[ -f $V2M_RUN/settings ]]; then
        while IFS='=' read -r -d '' name value; do
            if [[ $name == V2M_PORT_BASE
                && ${V2M_PORT_BASE:-$value} != "$value" ]]
            then
                die "this stack uses V2M_PORT_BASE=$value; take it down first," \
                    "or give V2M_RUN=DIR for a second one"
            fi
            [[ -n ${!name:-} ]] || printf -v "$name" '%s' "$value"
        done <"$V2M_RUN/settings"
    fi

    : "${V2M_PORT_BASE:=8080}"
    : "${V2M_BUILD:=build/release}"
    : "${V2M_NGINX:=nginx}"

    [[ $V2M_PORT_BASE =~ ^[0-9]{4,5}$ ]] && ((V2M_PORT_BASE <= 65528)) \
        || die "V2M_PORT_BASE is \"$V2M_PORT_BASE\", but must be a port" \
               "between 1000 and 65528"

    [[ $V2M_BUILD == /* ]] || V2M_BUILD=$top/$V2M_BUILD

    gateway_port=$V2M_PORT_BASE
    mongo_port=$((V2M_PORT_BASE + 1))
    mariadb_port=$((V2M_PORT_BASE + 2))
    rabbitmq_port=$((V2M_PORT_BASE + 3))
    erlang_port=$((V2M_PORT_BASE + 4))
    epmd_port=$((V2M_PORT_BASE + 5))
    smtp_port=$((V2M_PORT_BASE + 6))

    own_mongo_uri=mongodb://127.0.0.1:$mongo_port/
    own_amqp_url=amqp://v2m:$(secret rabbitmq)@127.0.0.1:$rabbitmq_port/
    own_smtp_url=smtp://127.0.0.1:$smtp_port

    : "${V2M_MONGO_URI:=$own_mongo_uri}"
    : "${V2M_AMQP_URL:=$own_amqp_url}"
    : "${V2M_SMTP_URL:=$own_smtp_url}"
    : "${V2M_MAILDIR:=$V2M_RUN/maildir}"
    : "${V2M_PUBLIC_URL:=http://127.0.0.1:$gateway_port}"

    if [[ -z ${MYSQL_HOST:-} ]]; then
        MYSQL_HOST=127.0.0.1
        MYSQL_PORT=$mariadb_port
        MYSQL_USER=v2m
        MYSQL_PASSWORD=$(secret mysql)
        MYSQL_DB=auth
    fi
    : "${MYSQL_PORT:=3306}" "${MYSQL_USER:=v2m}" "${MYSQL_DB:=auth}"
    : "${MYSQL_PASSWORD:=}"

    # another MariaDB may have neither the table nor the user for it
    if [[ -z ${V2M_ACCOUNTS:-} ]]; then
        V2M_ACCOUNTS=on
        ! mariadb_external || V2M_ACCOUNTS=off
    fi
    [[ $V2M_ACCOUNTS =~ ^(on|off|unmailed)$ ]] \
        || die "V2M_ACCOUNTS is \"$V2M_ACCOUNTS\", but must be on, off or" \
               "unmailed"

    if [[ -n ${JWT_SECRET:-} ]]; then
        ( umask 077 && printf '%s\n' "$JWT_SECRET" >"$V2M_RUN/secrets/jwt" )
        JWT_SECRET_FILE=$V2M_RUN/secrets/jwt
        unset JWT_SECRET
    fi
    if [[ -z ${JWT_SECRET_FILE:-} ]]; then
        secret jwt >/dev/null
        JWT_SECRET_FILE=$V2M_RUN/secrets/jwt
    fi

    # webhooks may go to this machine, where they are tried
    if [[ -z ${V2M_WEBHOOK_KEY:-}${V2M_WEBHOOK_KEY_FILE:-} ]]; then
        secret webhook >/dev/null
        V2M_WEBHOOK_KEY_FILE=$V2M_RUN/secrets/webhook
        export V2M_WEBHOOK_KEY_FILE
    fi
    : "${V2M_WEBHOOK_HTTP:=allow}" "${V2M_WEBHOOK_ALLOW:=127.0.0.0/8 ::1}"
    export V2M_WEBHOOK_HTTP V2M_WEBHOOK_ALLOW

    export V2M_MONGO_URI V2M_AMQP_URL V2M_SMTP_URL V2M_MAILDIR V2M_PUBLIC_URL
    export MYSQL_HOST MYSQL_PORT MYSQL_USER MYSQL_PASSWORD MYSQL_DB
    export JWT_SECRET_FILE
}


# Remembers what a later command for this stack must not guess anew.
save_settings() {
    local names=(V2M_PORT_BASE V2M_BUILD V2M_NGINX V2M_ACCOUNTS V2M_MAILDIR \
        V2M_PUBLIC_URL)

    mongo_external && names+=(V2M_MONGO_URI)
    rabbitmq_external && names+=(V2M_AMQP_URL)
    smtp_external && names+=(V2M_SMTP_URL)
    mariadb_external && names+=(MYSQL_HOST MYSQL_PORT MYSQL_USER \
        MYSQL_PASSWORD MYSQL_DB)

    (
        umask 077
        for name in "${names[@]}"; do
            printf '%s=%s\0' "$name" "${!name}"
        done >"$V2M_RUN/settings"
    )
}


# Prints a random word of 40 hex digits that stays the same for this stack.
secret() {
    local file=$V2M_RUN/secrets/$1

    if [[ ! -s $file ]]; then
        ( umask 077 && head -c 20 /dev/urandom | od -An -v -tx1 \
            | tr -d ' \n' >"$file.new" && echo >>"$file.new" \
            && mv "$file.new" "$file" ) || die "could not write $file"
    fi

    printf '%s' "$(<"$file")"
}


# run/env, for people and tests.
write_env() {
    local name

    (
        umask 077
        {
            say "# The local stack: source this file."
            for name in V2M_URL V2M_USER V2M_PASSWORD V2M_MONGO_URI \
                V2M_AMQP_URL V2M_SMTP_URL V2M_MAILDIR MYSQL_HOST MYSQL_PORT \
                MYSQL_USER MYSQL_PASSWORD MYSQL_DB JWT_SECRET_FILE
            do
                printf "export %s='%s'\n" "$name" \
                    "$(env_value "$name" | sed "s/'/'\\\\''/g")"
            done
        } >"$V2M_RUN/env.new"
        mv "$V2M_RUN/env.new" "$V2M_RUN/env"
    )
}


env_value() {
    case $1 in
        V2M_URL) printf '%s' "http://127.0.0.1:$gateway_port" ;;
        V2M_USER) printf '%s' "$demo_user" ;;
        V2M_PASSWORD) secret demo ;;
        *) printf '%s' "${!1}" ;;
    esac
}
