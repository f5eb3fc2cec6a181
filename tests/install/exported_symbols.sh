#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
#
# Both libraries export symbols of their PREFIX only, and no fewer than the header
# declares. Neither calls what would change the host's process behind its back.
# Usage: exported_symbols.sh SHARED STATIC HEADER PREFIX
set -eu
foreign='^__asan|^__odr_asan|^__sanitizer|^__ubsan|^__tsan'
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$1"; shift; cat "$@"; exit 1; }

# Every function of the header, and nothing else.
sed -n '/^ZSPOOL_EXPORT/,/;/p' "$3" | grep -oE '\bzspool_[a-z_]+\(' | tr -d '(' | sort -u \
    >"$dir/declared"
exports() { # LIBRARY NM_OPTION
    nm "$2" --defined-only "$1" | awk '$2 ~ /[TDBRVW]/ { print $3 }' | grep -vE "$foreign" |
        sort >"$dir/exported"
    if grep -v "^$prefix" "$dir/exported" >"$dir/wrong"; then
        fail "exported by $1:" "$dir/wrong"
    fi
    diff "$dir/declared" "$dir/exported" >"$dir/wrong" ||
        fail "declared in the header (<) and exported by $1 (>) differ:" "$dir/wrong"
}
prefix=$4
exports "$1" -D
exports "$2" -g

# Signals, exit, environment, locale, random numbers, output, children: all of it is the host's.
# (stderr and abort are for an assertion that fails: a bug of ours.)
taboo='signal|sigaction|sigprocmask|exit|_exit|quick_exit|atexit|__cxa_atexit|on_exit'
taboo="$taboo|getenv|secure_getenv|setenv|putenv|unsetenv|clearenv|setlocale|tzset|umask|chdir"
taboo="$taboo|srand|rand|random|srandom|drand48|printf|puts|putchar|perror|syslog|openlog"
taboo="$taboo|fork|vfork|system|popen|posix_spawn|execve|execvp|pthread_atfork|alarm|setitimer"
taboo="$taboo|sleep|usleep|nanosleep|setrlimit|strtok|strerror"
if nm -u "$2" 2>/dev/null | awk '$1 == "U" { print $2 }' | grep -xE "$taboo" >"$dir/wrong"; then
    fail "called by $2:" "$dir/wrong"
fi
echo "$(wc -l <"$dir/exported") functions exported, all of them declared"
