#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# kill -9 of the broker under load, three times. The producer goes on by itself
# after each restart. Then every confirm is held against the log: each confirmed
# message is there, at the address it was told, and none is there twice.
source "$(dirname "$0")/lib.sh"

real_lines >"$work/input"
count=$(wc -l <"$work/input")
broker_start
zspool topic create files --partitions 2

# The input comes in four parts. Until the broker was killed, only a line now
# and then follows, so that every kill meets a producer in the middle of its work.
mkfifo "$work/gate"
exec {gate}<>"$work/gate"
feed() {
    local line
    for part in 1 2 3 4; do
        head -n $((count / 4))
        until [[ $part -eq 4 ]] || read -t 0.02 -r -u "$gate" _; do
            IFS= read -r line && printf '%s\n' "$line"
        done
    done
    cat
}
: >"$work/confirms"
feed <"$work/input" | zspool pub files --json >"$work/confirms" &
producer=$!

seen=0
for round in 1 2 3; do
    # Wait for the next confirm, then kill: most of this part is on its way.
    await_lines $((seen + 1)) "$work/confirms"
    broker_kill
    seen=$(wc -l <"$work/confirms")
    say "round $round: killed after $(confirmed "$work/confirms") of $count confirmed"
    echo next >&"$gate"
    broker_start
done
await "$producer"

[[ $(confirmed "$work/confirms") -eq $count ]] || fail "not all of $count messages confirmed"
zspool read files >"$work/log"
same_lines "the log" "$work/input" "$work/log"
say "all $count messages confirmed, all there, none twice, after 3 x kill -9"
