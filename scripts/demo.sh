#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# zspool's main job on real input, shown in words and figures and verified:
# installs missing packages, builds into build/release, publishes every line of
# this machine's package database, kills the broker with kill -9 in the middle,
# lets two groups of several processes work, and replays. Cleans up after
# itself, also when it fails or is interrupted.
#
#   scripts/demo.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

step() { printf '\n--- %s\n' "$*"; }

step "Preparing: packages and a release build"
scripts/deps build
mkdir -p build
if command -v ccache >/dev/null; then
    export CMAKE_C_COMPILER_LAUNCHER=ccache
fi
if ! { cmake --preset release && cmake --build --preset release; } >build/release.txt 2>&1; then
    tail -n 40 build/release.txt >&2
    echo "demo: the build failed; all of its output is in build/release.txt" >&2
    exit 1
fi
echo "built: build/release/broker/zspoold and build/release/client/zspool"

# From here on everything lives in $work, and is gone at the end.
ZSPOOL_PATH=$root/build/release/broker:$root/build/release/client
# shellcheck source=examples/lib.sh
source examples/lib.sh

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
count_of() { wc -l <"$1"; }
broker_kill_told() {
    broker_kill
    echo "kill -9 to zspoold (process $broker)"
}
broker_start_told() {
    local before
    before=$(now_ms)
    broker_start
    echo "zspoold serves again on $ZSPOOL_SERVER after $(($(now_ms) - before)) ms"
}

step "1. A broker on a free port"
# Below the range from which the kernel takes the ports of outgoing connections.
free_port() {
    local port
    for port in $(shuf -i 20000-29999 -n 50); do
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    fail "no free port"
}
port=$(free_port)
export ZSPOOL_SERVER=tcp://127.0.0.1:$port
broker_start
echo "zspoold serves on $ZSPOOL_SERVER, its data is in $work/data"

step "2. Publish, with kill -9 of the broker in the middle"
real_lines >"$work/input"
count=$(count_of "$work/input")
echo "input: $count lines, $(stat -c %s "$work/input") bytes: every file that the package database knows, as"
echo "       \"$(sed -n 1000p "$work/input")\""
zspool topic create files --partitions 4
mkfifo "$work/gate"
exec {gate}<>"$work/gate"
feed() { # the second half comes line by line until the broker is dead
    head -n $((count / 2))
    until read -t 0.02 -r -u "$gate" _; do
        IFS= read -r line && printf '%s\n' "$line"
    done
    cat
}
: >"$work/confirms"
started=$(now_ms)
feed <"$work/input" | zspool pub files --json >"$work/confirms" &
producer=$!
await_lines 1 "$work/confirms"
broker_kill_told
before=$(confirmed "$work/confirms")
echo "until then $before messages were confirmed, that is: on disk"
echo next >&"$gate"
broker_start_told
await "$producer"
[[ $(confirmed "$work/confirms") -eq $count ]] || fail "not every message was confirmed"
echo "the producer went on by itself: $count of $count confirmed, after $(($(now_ms) - started)) ms in all"
zspool read files >"$work/log"
same_lines "the log after the crash" "$work/input" "$work/log"
echo "verified: the log holds each of the $count lines exactly once"

step "3. Two groups, three processes each; one of them dies with messages in its hands"
groups="index audit"
for group in $groups; do
    zspool group create "$group" --topic files --lease 2s
done
mkfifo "$work/stuck"
zspool pull files -g index -n 5000 >"$work/stuck" & # nobody empties the pipe: it gets stuck
victim=$!
exec {pipe}<"$work/stuck"
IFS= read -r -u "$pipe" first
kill -9 "$victim"
wait "$victim" 2>/dev/null || true
printed "$first" "$pipe" >"$work/index.0"
: >"$work/audit.0"
echo "kill -9 to a worker of group index, in the middle of its work: it had printed" \
    "$(count_of "$work/index.0") of 5000"
workers=()
for group in $groups; do
    for number in 1 2 3; do
        : >"$work/$group.$number"
        zspool pull files -g "$group" >"$work/$group.$number" &
        workers+=($!)
    done
done
started=$(now_ms)
await_lines 1 "$work/index".? # the work has begun
broker_kill_told
broker_start_told
echo "waiting until both groups are through; what the dead worker held comes back when its lease"
echo "ends, at least 10 s after a restart, so that nobody loses work because the broker was away"
for group in $groups; do
    await_group "$group" files
done
took=$(($(now_ms) - started))
stop "${workers[@]}"
for group in $groups; do
    cat "$work/$group".? >"$work/$group"
    sort -u "$work/$group" >"$work/$group.set"
    same_lines "group $group" "$work/input" "$work/$group.set"
    echo "group $group: $count of $count messages done," \
        "by process: $(for n in 0 1 2 3; do printf '%s ' "$(count_of "$work/$group.$n")"; done)" \
        "($(($(count_of "$work/$group") - count)) done twice, because of the crashes)"
done
echo "verified: both groups have seen every line, after $took ms"

step "4. Replay"
started=$(now_ms)
zspool pull files -g latecomer --start 10m -e >"$work/latecomer"
same_lines "the new group" "$work/input" "$work/latecomer"
echo "a new group that starts 10 minutes ago gets all $(count_of "$work/latecomer") again: $(($(now_ms) - started)) ms"
started=$(now_ms)
zspool read files >"$work/replayed"
cmp -s "$work/log" "$work/replayed" || fail "a second replay differs from the first"
echo "read gives the same bytes in the same order as before: $(($(now_ms) - started)) ms"

step "Done"
echo "$count messages, $(du -sh "$work/data" | cut -f 1) on disk, 2 x kill -9 of the broker, 1 of a worker: nothing lost."
echo "Everything in $work is removed now. Next: the five-minute start in README.md."
