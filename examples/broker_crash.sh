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

# The input comes in four parts; the next one waits until the broker was killed.
mkfifo "$work/gate"
exec {gate}<>"$work/gate"
feed() {
    local part
    for part in 0 1 2 3; do
        [[ $part -eq 0 ]] || read -r -u "$gate" _
        sed -n "$((count * part / 4 + 1)),$((count * (part + 1) / 4))p" "$work/input"
    done
}
: >"$work/confirms"
feed | zspool pub files --json >"$work/confirms" &
producer=$!

for round in 1 2 3; do
    # Wait for the first confirm of this part, then kill: most of it is on its way.
    seen=$(wc -l <"$work/confirms")
    [[ $round -gt 1 ]] || seen=0
    head -n 1 < <(exec tail -n +$((seen + 1)) -s 0.01 -f --pid="$producer" "$work/confirms") >/dev/null
    broker_kill
    say "round $round: killed after $(confirmed "$work/confirms") of $count confirmed"
    echo next >&"$gate"
    broker_start
done
await "$producer"

[[ $(confirmed "$work/confirms") -eq $count ]] || fail "not all of $count messages confirmed"
zspool read files >"$work/log"
same_lines "the log" "$work/input" "$work/log"
say "all $count messages confirmed, all there, none twice, after 3 x kill -9"
