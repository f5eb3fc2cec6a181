#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Fan-out: two groups get every message, each on its own; inside a group the
# messages are shared between three processes, and nothing is handed out twice.
source "$(dirname "$0")/lib.sh"

real_lines 50000 >"$work/input"
broker_start
zspool topic create files --partitions 4
zspool pub files <"$work/input"

workers=()
for group in index audit; do
    for number in 1 2 3; do
        zspool pull files -g "$group" -e >"$work/$group.$number" &
        workers+=($!)
    done
done
await "${workers[@]}"

for group in index audit; do
    cat "$work/$group".? >"$work/$group"
    same_lines "group $group" "$work/input" "$work/$group"
    say "group $group: $(wc -l <"$work/$group") messages, every one once," \
        "by 3 processes: $(wc -l "$work/$group".? | awk '$2 != "total" {printf "%s ", $1}')"
done
