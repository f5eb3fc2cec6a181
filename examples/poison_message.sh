#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# One message among a thousand kills whoever works on it: the process is gone, with a
# large lease in its hands. Its neighbours get through, and the bad one is dead after
# three failures, which were counted against it alone.
source "$(dirname "$0")/lib.sh"

# Larger than a pipe: the worker is in the middle of it when its reader finds out. The
# worker (examples/worker.c) pulls a thousand messages ahead.
real_lines 1000 | awk 'NR == 500 { printf "POISON "; for (i = 0; i < 20000; i++) printf "xxxxxx"
                                   print "" } 1' >"$work/input"
broker_start
zspool topic create jobs
zspool group create crew --topic jobs --lease 1s --max-failures 3 --backoff 100ms
zspool pub jobs <"$work/input"

: >"$work/done"
mkfifo "$work/pipe"
crashes=0
# Watch a worker; returns 1 when it was killed.
watch_worker() {
    local pid head rest pipe
    worker jobs crew >"$work/pipe" 2>"$work/worker.err" &
    pid=$!
    exec {pipe}<"$work/pipe"
    while IFS= read -r -u "$pipe" -n 40 head; do
        if [[ $head == *POISON* ]]; then
            kill -9 "$pid"
            wait "$pid" 2>/dev/null || true
            exec {pipe}<&-
            return 1
        fi
        rest=
        [[ ${#head} -lt 40 ]] || IFS= read -r -u "$pipe" rest
        printf '%s\n' "${head#* }$rest" >>"$work/done"
    done
    exec {pipe}<&-
    # A lease may be too short for a slow machine: the next ones are smaller, until they are not.
    wait "$pid" || grep -q 'leases were lost' "$work/worker.err" ||
        fail "the worker: $(cat "$work/worker.err")"
}
state() { # NAME: a figure of the group
    zspool group info crew --json | sed -nE "s/.*\"$1\": ?([0-9]+).*/\1/p"
}

end=$((SECONDS + 120))
until [[ $(left_over crew jobs) -eq 0 ]]; do
    [[ $SECONDS -lt $end ]] || fail "not through after two minutes: $(zspool group info crew)"
    if ! watch_worker; then
        crashes=$((crashes + 1))
        say "crash $crashes: $(state leased) messages were in its hands"
    fi
    sleep 0.1
done

[[ $(state dead) -eq 1 ]] || fail "$(state dead) are dead, wanted the poison message alone"
[[ $crashes -ge 3 && $crashes -le 15 ]] || fail "$crashes crashes"
grep -v POISON "$work/input" | sort -u >"$work/wanted"
sort -u "$work/done" >"$work/got"
same_lines "its neighbours" "$work/wanted" "$work/got"
say "dead after $crashes crashes; all of its $(wc -l <"$work/wanted") neighbours are done"
