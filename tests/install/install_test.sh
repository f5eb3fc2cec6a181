#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Installs the client into a directory of its own and builds a project outside the
# tree against it: with CMake and with pkg-config, shared and static each; then all
# of it again where the directory was moved to.
# Usage: install_test.sh CMAKE BUILD_DIR SOURCE_DIR LIBDIR VERSION CC [CFLAGS...]
set -eu
cmake=$1 build=$2 source=$3 libdir=$4 version=$5 cc=$6
shift 6
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() { echo "$*"; exit 1; }

"$cmake" --install "$build" --component client --prefix "$dir/first" >"$dir/install.log"

# What is installed.
for file in include/zspool.h "$libdir/libzspool.so" "$libdir/libzspool.a" \
    "$libdir/pkgconfig/libzspool.pc" "$libdir/cmake/zspool/zspool-config.cmake" bin/zspool \
    include/zspool_broker.h "$libdir/libzspool-broker.so" "$libdir/libzspool-broker.a" \
    "$libdir/pkgconfig/libzspool-broker.pc" \
    share/bash-completion/completions/zspool; do
    test -e "$dir/first/$file" || fail "$file is not installed"
done

configure() { # PREFIX BUILD_DIR [OPTION...]
    prefix=$1 into=$2
    shift 2
    "$cmake" -S "$source/outside" -B "$into" -DCMAKE_PREFIX_PATH="$prefix" \
        -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$flags" "$@" >"$into.log" 2>&1
}

# The program runs, and needs libzspool.so just when it was linked to it.
run() { # PROGRAM PREFIX shared|static
    needed=static
    ! readelf -d "$1" | grep -q 'NEEDED.*libzspool\.so' || needed=shared
    test "$needed" = "$3" || fail "$1 is linked $needed, not $3"
    LD_LIBRARY_PATH="$2/$libdir" "$1" | grep -qx "libzspool $version" || fail "$1 does not run"
}

# The same for a program with a broker inside, in a directory that it makes.
run_broker() { # PROGRAM PREFIX shared|static
    needed=static
    ! readelf -d "$1" | grep -q 'NEEDED.*libzspool-broker\.so' || needed=shared
    test "$needed" = "$3" || fail "$1 is linked $needed, not $3"
    LD_LIBRARY_PATH="$2/$libdir" "$1" "$1.data" | grep -qx "libzspool-broker $version" ||
        fail "$1 does not run"
}

by_cmake() { # PREFIX
    configure "$1" "$1/build" || { cat "$1/build.log"; exit 1; }
    "$cmake" --build "$1/build" >"$1/build.log" || { cat "$1/build.log"; exit 1; }
    run "$1/build/outside-shared" "$1" shared
    run "$1/build/outside-static" "$1" static
    run_broker "$1/build/outside-broker-shared" "$1" shared
    run_broker "$1/build/outside-broker-static" "$1" static
}

by_pkg_config() { # PREFIX
    export PKG_CONFIG_PATH="$1/$libdir/pkgconfig${own_path:+:$own_path}"
    test "$(pkg-config --modversion libzspool)" = "$version" || fail "libzspool.pc: wrong version"
    # Word splitting is what these are for.
    # shellcheck disable=SC2046,SC2086
    "$cc" $flags "$source/outside/main.c" -o "$1/shared" $(pkg-config --cflags --libs libzspool)
    run "$1/shared" "$1" shared
    # The libraries below are shared ones all the same: `pkg-config --static` would want their own
    # static ones, which not every system has.
    private=$(pkg-config --print-requires-private libzspool | cut -d ' ' -f 1)
    # shellcheck disable=SC2046,SC2086
    "$cc" $flags "$source/outside/main.c" -o "$1/static" $(pkg-config --cflags libzspool) \
        "$1/$libdir/libzspool.a" $(pkg-config --libs $private) -pthread
    run "$1/static" "$1" static
    # The programs of the README, by the command of the README.
    for program in hello_producer hello_worker; do
        # shellcheck disable=SC2046,SC2086
        "$cc" $flags "$source/../../examples/$program.c" -o "$1/$program" \
            $(pkg-config --cflags --libs libzspool)
    done
    # The other examples need nothing of this tree either.
    for program in "$source"/../../examples/*.c; do
        # shellcheck disable=SC2046,SC2086
        "$cc" $flags -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror -fsyntax-only \
            "$program" $(pkg-config --cflags libzspool libzspool-broker libczmq)
    done
}

broker_by_pkg_config() { # PREFIX
    # shellcheck disable=SC2046,SC2086
    "$cc" $flags "$source/outside/broker_main.c" -o "$1/broker-shared" \
        $(pkg-config --cflags --libs libzspool-broker libzspool)
    run_broker "$1/broker-shared" "$1" shared
    private=$(pkg-config --print-requires-private libzspool-broker | cut -d ' ' -f 1)
    # shellcheck disable=SC2046,SC2086
    "$cc" $flags "$source/outside/broker_main.c" -o "$1/broker-static" \
        $(pkg-config --cflags libzspool-broker) "$1/$libdir/libzspool-broker.a" \
        "$1/$libdir/libzspool.a" $(pkg-config --libs $private) -pthread
    run_broker "$1/broker-static" "$1" static
}

flags=$*
own_path=${PKG_CONFIG_PATH:-}
for prefix in "$dir/first" "$dir/moved"; do
    test -d "$prefix" || { mv "$dir/first" "$prefix"; rm -rf "$prefix/build"; }
    by_cmake "$prefix"
    by_pkg_config "$prefix"
    broker_by_pkg_config "$prefix"
done

# Another minor version may differ: it is not taken.
! configure "$dir/moved" "$dir/newer" -DOUTSIDE_WANTS=0.999 || fail "version 0.999 was found"
grep -q 'version: *'"$version" "$dir/newer.log" || { cat "$dir/newer.log"; exit 1; }

echo "installed, and usable with CMake and pkg-config, shared and static, also when moved"
