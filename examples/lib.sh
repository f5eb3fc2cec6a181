# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
#
# Sourced by the scenarios: a broker of one's own in a directory of one's own,
# real input, and words to check with. The programs are found in ZSPOOL_PATH, on
# PATH, or where the builds put them (those in C: `make`). Nothing is left behind.
set -euo pipefail

examples=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
built=${examples%/*}/build
PATH=${ZSPOOL_PATH:+$ZSPOOL_PATH:}$PATH:$built/release/broker:$built/release/client:$built/dev/examples
work=$(mktemp -d "${TMPDIR:-/tmp}/zspool-example.XXXXXX")
broker=
export ZSPOOL_SERVER="ipc://$work/zspool.sock"

leave() {
    local status=$? pid
    trap - EXIT
    if [[ $status -ne 0 && -s $work/broker.err ]]; then
        sed 's/^/broker: /' "$work/broker.err" >&2
    fi
    exec 2>/dev/null # bash tells of every process killed
    for pid in $(jobs -p); do
        kill -9 "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    rm -rf "$work"
    exit "$status"
}
trap leave EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$*"; }
fail() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }

# Run a command for so many seconds at most. It stays in the scenario's process group: with another
# one between it and what feeds it (`< <(...)`), the end of the latter can be a hangup to whatever
# runs beside the scenario.
within() { timeout --foreground "$@"; } # SECONDS COMMAND...

# Start zspoold on $work/data and return when it serves: recovery is done when
# the ready line is out.
broker_start() {
    : >>"$work/broker.err"
    zspoold --data "$work/data" --listen "$ZSPOOL_SERVER" 2>>"$work/broker.err" &
    broker=$!
    within 60 grep -qm 1 '^zspoold: ready' \
        < <(exec tail -n +"$((${ready_lines:-0} + 1))" -s 0.05 -f --pid="$broker" "$work/broker.err") ||
        fail "the broker did not start"
    ready_lines=$(wc -l <"$work/broker.err")
}

# What a power button does to a process: no signal handler runs.
broker_kill() {
    kill -9 "$broker"
    wait "$broker" 2>/dev/null || true
}

# Real input, one unique line each: "package path" for every file that Debian's
# package database knows on this machine; elsewhere the C headers.
real_lines() { # [COUNT], default: all
    if compgen -G '/var/lib/dpkg/info/*.list' >/dev/null; then
        (cd /var/lib/dpkg/info && grep -H . -- *.list | sed 's/\.list:/ /')
    else
        grep -rHn . /usr/include --include='*.h'
    fi | awk -v count="${1:-0}" '!count || NR <= count'
}

# Wait for these processes; each must have ended well. 3 is fine, too: a worker
# that came too late to get anything.
await() {
    local pid status
    for pid in "$@"; do
        status=0
        wait "$pid" || status=$?
        [[ $status -eq 0 || $status -eq 3 ]] || fail "process $pid ended with status $status"
    done
}

# Wait until these files have so many lines in all.
await_lines() { # COUNT FILE...
    local count=$1
    shift
    head -n "$count" < <(exec tail -q -n +1 -s 0.05 -f --pid=$$ "$@") >/dev/null
}

# Wait until nothing of the topic is left to do for the group: all of it is acked.
await_group() { # GROUP TOPIC
    local end=$((SECONDS + 60))
    until [[ $(left_over "$1" "$2") -eq 0 ]]; do
        [[ $SECONDS -lt $end ]] || fail "group $1 is not through after a minute"
        sleep 0.1
    done
}
left_over() { # GROUP TOPIC: messages that are not done
    zspool group info "$1" | awk -v topic="$2" '$1 == topic && $2 ~ /^[0-9]+$/ { n += $4 - $3 } END { print n + 0 }'
}

# End these workers as Ctrl-C would: what they have not printed is handed back.
stop() {
    kill -INT "$@"
    await "$@"
}

# How many messages these confirms (pub --json) stand for.
confirmed() { # FILE
    sed -nE 's/.*"count": ?([0-9]+).*/\1/p' "$1" | awk '{ n += $1 } END { print n + 0 }'
}

# Do two files hold the same lines, in any order, each as often?
same_lines() { # WHAT WANTED GOT
    cmp -s <(sort "$2") <(sort "$3") && return
    diff <(sort "$2") <(sort "$3") | head -n 10 >&2
    fail "$1: $(wc -l <"$2") lines wanted, $(wc -l <"$3") there"
}

# What a worker that was killed had printed into a pipe, as far as the lines are whole: it may
# have acked them. The first line was read from the pipe already.
printed() { # FIRST_LINE PIPE
    { printf '%s\n' "$1"; cat <&"$2"; } | sed -z 's/[^\n]*$//'
}
