#!/bin/sh
# Runs nginx's own test suite without and with the module loaded, and compares:
#
#     t/nginx-tests.sh FOLDER
#
# FOLDER is a checkout of https://github.com/nginx/nginx-tests.  Not as root,
# whose worker processes may not read what the tests write.  V2M_BUILD is the
# folder with the module (build/release).  Tests that nginx itself fails, being
# older than the suite, fail in both runs.  The suite loads each dynamic module
# that nginx -V tells of; Debian has them in packages, libnginx-mod-*.

set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
build=${V2M_BUILD:-build/release}

case $build in
    /*) ;;
    *) build=$top/$build ;;
esac

if [ $# -ne 1 ] || [ ! -f "$1/lib/Test/Nginx.pm" ]; then
    echo "usage: t/nginx-tests.sh FOLDER (a checkout of nginx-tests)" >&2
    exit 2
fi

if [ "$(id -u)" -eq 0 ]; then
    echo "t/nginx-tests.sh: not as root, please" >&2
    exit 2
fi

module=$build/ngx_http_v2m_module.so
results=$(mktemp -d)

TEST_NGINX_BINARY=$(command -v nginx)
TEST_NGINX_MODULES=${TEST_NGINX_MODULES:-/usr/lib/nginx/modules}
export TEST_NGINX_BINARY TEST_NGINX_MODULES

# Some tests leave processes behind; those must not keep prove waiting for the
# end of the test's output.
cat > "$results/test" <<'EOF'
#!/bin/sh
output=$(mktemp)
perl "$@" > "$output" 2>&1
status=$?
cat "$output"
rm "$output"
exit $status
EOF
chmod +x "$results/test"

cd "$1"

for run in without with; do
    if [ $run = with ]; then
        export TEST_NGINX_GLOBALS="load_module $module;"
    fi

    prove -j2 --exec "$results/test" . > "$results/$run.log" 2>&1 || true
    grep -aE '\(Wstat|^\./[a-z0-9_]+\.t \.+ ?(ok|skipped)' \
        "$results/$run.log" | sed 's/ *[0-9]* *ms.*//' | sort \
        > "$results/$run"
    printf '%-8s %s ok, %s skipped, %s failed\n' $run \
        "$(grep -ac '\.\. \?ok' "$results/$run" || true)" \
        "$(grep -ac 'skipped' "$results/$run" || true)" \
        "$(grep -ac 'Wstat' "$results/$run" || true)"
done

if diff "$results/without" "$results/with"; then
    echo "the same with the module as without it"
else
    echo "differs; see $results" >&2
    exit 1
fi
