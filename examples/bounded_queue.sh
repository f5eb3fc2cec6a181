#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Two groups on topics that do not grow: one keeps a message until both groups have done
# it and makes its producer wait when it is full, so nothing is lost though it holds far
# less than goes through it; the other drops the oldest, and tells the group that was too
# slow how many it lost. The broker is killed in between.
source "$(dirname "$0")/lib.sh"

count=20000
# Some 400 bytes each: far more in all than the topic may hold.
real_lines "$count" | awk '{ printf "%s %0300d\n", $0, NR }' >"$work/input"
broker_start
zspool topic create jobs --until-consumed yes --max-bytes 2MiB
zspool group create mail --topic jobs
zspool group create audit --topic jobs
field() { # VERB NAME FIELD: a figure of a topic or a group
    zspool "$1" info "$2" --json | grep -oE "\"$3\": ?[0-9]+" | awk -F: '{ n += $2 } END { print n + 0 }'
}
if zspool pull jobs -g mial -n 1 2>"$work/slip"; then fail "a slip of the pen made a group"; fi

zspool pub jobs --timeout 100s <"$work/input" &
producer=$!
consume() { # GROUP FILE: until the producer has ended and nothing is left
    while kill -0 "$producer" 2>/dev/null || [[ $(left_over "$1" jobs) -gt 0 ]]; do
        zspool pull jobs -g "$1" -n 500 --wait 200ms >>"$2" || [[ $? -eq 3 ]] || return 1
    done
}
: >"$work/mail"
: >"$work/audit"
consume mail "$work/mail" &
mail=$!
sleep 1
held=$(zspool topic info jobs --json | grep -oE '"bytes": ?[0-9]+' | head -n 1 | awk -F: '{ print $2 }')
[[ $held -le 2097152 ]] || fail "the topic holds $held bytes"
kill -0 "$producer" 2>/dev/null || fail "the producer did not wait for the group that has not begun"
say "audit has not begun: the producer waits, the topic holds $held bytes"
consume audit "$work/audit" &
audit=$!
await "$producer" "$mail" "$audit"
same_lines "mail" "$work/input" "$work/mail"
same_lines "audit" "$work/input" "$work/audit"
[[ $(field group audit lost) -eq 0 ]] || fail "audit lost messages"
say "both groups got all $count messages through a topic of 2 MiB, none was lost"

zspool topic create ticks --max-bytes 2MiB --when-full drop_oldest
zspool group create slow --topic ticks
split -l 1000 "$work/input" "$work/tick."
for part in "$work"/tick.*; do
    zspool pub ticks <"$part"
    sleep 0.1
done
broker_kill
broker_start
lost=$(field group slow lost)
zspool pull ticks -g slow -e >"$work/ticks"
got=$(wc -l <"$work/ticks")
[[ $lost -gt 0 && $((lost + got)) -eq $count ]] || fail "lost $lost and got $got of $count"
tail -n "$got" "$work/input" >"$work/newest"
same_lines "the newest ticks" "$work/newest" "$work/ticks"
say "of $count ticks the slow group got the newest $got, and is told of the $lost that it lost"
