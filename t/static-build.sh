#!/bin/bash
#
# Builds nginx with the module inside ("--add-module") and runs a few of its
# suites with that.
#
#     . run/env; t/static-build.sh [DIRECTORY]
#
# DIRECTORY (build/static) keeps the sources and objects for the next time.
# nginx's sources are those of NGINX_SOURCES, a directory, else of Debian's
# source package for the nginx that is installed.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${1:-$top/build/static}

PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)


say() {
    printf '%s\n' "static build: $*"
}


die() {
    say "$@" >&2
    exit 1
}


# Debian's source package, by lists of our own: the system may have none for
# sources, and is left as it is.
fetch_sources() {
    local version codename file source lists=$dir/apt apt

    version=$(nginx -v 2>&1 | sed -n 's,.*nginx/\([0-9.]*\).*,\1,p')
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)

    say "fetching the sources of nginx $version"

    rm -rf "$lists"
    mkdir -p "$lists/sources" "$lists/lists/partial" "$lists/cache/archives/partial"

    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        grep -qs "$codename" "$file" || continue
        case $file in
            *.list) sed -n 's/^deb /deb-src /p' "$file" ;;
            *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" ;;
        esac >"$lists/sources/${file##*/}"
    done

    apt=(-qq -o Dir::Etc::sourcelist=/dev/null
        -o Dir::Etc::sourceparts="$lists/sources"
        -o Dir::State::lists="$lists/lists"
        -o Dir::Cache="$lists/cache"
        -o APT::Sandbox::User=)

    apt-get "${apt[@]}" update

    # all revisions of the package have the same tarball from upstream
    for source in $(apt-cache "${apt[@]}" showsrc nginx \
        | sed -n "s/^Version: \($version-.*\)/\1/p" | sort -rVu)
    do
        (cd "$lists" && apt-get "${apt[@]}" source --download-only --tar-only \
            "nginx=$source") && break
    done

    file=$(echo "$lists"/nginx_"$version".orig.tar.*z)
    [[ -f $file ]] || die "there is no source package of nginx $version"

    mkdir -p "$dir/nginx.new"
    tar -x --strip-components 1 -C "$dir/nginx.new" -f "$file"
    mv "$dir/nginx.new" "$dir/nginx"
    rm -rf "$lists"
}


if [[ -n ${NGINX_SOURCES:-} ]]; then
    [[ -f $NGINX_SOURCES/src/core/nginx.c ]] \
        || die "$NGINX_SOURCES has no sources of nginx"
    [[ -d $dir/nginx ]] || cp -r "$NGINX_SOURCES" "$dir/nginx"
fi

[[ -d $dir/nginx ]] || fetch_sources

cd "$dir/nginx"

if [[ ! -f objs/Makefile || $top/config -nt objs/Makefile ]]; then
    ./configure --with-threads --with-http_v2_module \
        --with-http_stub_status_module --with-http_auth_request_module \
        --with-cc-opt=-O0 --add-module="$top" >"$dir/configure.log" \
        || { cat "$dir/configure.log"; exit 1; }
fi

say "compiling"
make -s -j2 >"$dir/make.log" 2>&1 || { cat "$dir/make.log"; exit 1; }

objs/nginx -V 2>&1 | grep -q -- --add-module || die "the module is not inside"

cd "$top"
TEST_NGINX_BINARY=$dir/nginx/objs/nginx V2M_STATIC=1 \
    prove -It/lib t/auth.t t/login.t t/problem.t
