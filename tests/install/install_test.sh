#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Installs the client into a directory of its own and builds a project outside the
# tree against it: with CMake (shared and static) and with pkg-config.
# Usage: install_test.sh CMAKE BUILD_DIR SOURCE_DIR LIBDIR CC [CFLAGS...]
set -eu
cmake=$1 build=$2 source=$3 libdir=$4 cc=$5
shift 5
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

"$cmake" --install "$build" --component client --prefix "$dir/prefix" >"$dir/install.log"

# What is installed, and nothing of ours that is not named zspool_.
for file in include/zspool.h "$libdir/libzspool.so" "$libdir/libzspool.a" \
    "$libdir/pkgconfig/libzspool.pc" "$libdir/cmake/zspool/zspool-config.cmake" bin/zspool; do
    test -e "$dir/prefix/$file" || { echo "$file is not installed"; exit 1; }
done

run() {
    LD_LIBRARY_PATH="$dir/prefix/$libdir" "$1" | grep -q '^libzspool [0-9]'
}

"$cmake" -S "$source/outside" -B "$dir/build" -DCMAKE_PREFIX_PATH="$dir/prefix" \
    -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$*" >"$dir/configure.log" ||
    { cat "$dir/configure.log"; exit 1; }
"$cmake" --build "$dir/build" >"$dir/build.log" || { cat "$dir/build.log"; exit 1; }
run "$dir/build/outside-shared"
run "$dir/build/outside-static"

export PKG_CONFIG_PATH="$dir/prefix/$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# Word splitting is what these are for.
# shellcheck disable=SC2046
"$cc" "$@" "$source/outside/main.c" -o "$dir/by-pkg-config" $(pkg-config --cflags --libs libzspool)
run "$dir/by-pkg-config"
# shellcheck disable=SC2046
"$cc" "$@" "$source/outside/main.c" -o "$dir/by-pkg-config-static" \
    $(pkg-config --cflags libzspool) "$dir/prefix/$libdir/libzspool.a" \
    $(pkg-config --libs libzmq libxxhash $(pkg-config --print-requires-private libzspool | \
        grep msgpack)) -pthread
run "$dir/by-pkg-config-static"

echo "installed, and usable with CMake and pkg-config"
