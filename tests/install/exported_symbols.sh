#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# The shared library exports zspool_ symbols only, the static one defines nothing
# that could meet a host's names: zspool_, zsp_ and wire_.
# Usage: exported_symbols.sh SHARED STATIC
set -eu
wrong=$(nm -D --defined-only "$1" | awk '$2 ~ /[TDBRVW]/ { print $3 }' |
    grep -v -e '^zspool_' -e '^__asan' -e '^__odr_asan' -e '^__sanitizer' -e '^__ubsan' -e '^__tsan' || true)
if [ -n "$wrong" ]; then
    echo "exported by $1:"; echo "$wrong"; exit 1
fi
wrong=$(nm --defined-only "$2" 2>/dev/null | awk '$2 ~ /[TDBR]/ { print $3 }' |
    grep -v -e '^zspool_' -e '^zsp_' -e '^wire_' -e '^__' || true)
if [ -n "$wrong" ]; then
    echo "defined by $2:"; echo "$wrong"; exit 1
fi
count=$(nm -D --defined-only "$1" | grep -c ' T zspool_')
echo "$count functions exported, all of them zspool_"
test "$count" -gt 40
