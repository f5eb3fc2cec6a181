#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Three workers share one group; one of them is killed by kill -9 with messages
# in its hands. When its lease ends they go to the others: none is lost, and
# only what the dead worker had printed but not yet acked is seen twice.
source "$(dirname "$0")/lib.sh"

real_lines 20000 >"$work/input"
broker_start
zspool topic create files
zspool pub files <"$work/input"
zspool group create indexers --topic files --lease 1s

# The victim writes into a pipe that nobody empties: it gets stuck in the middle
# of its work, with most of its 5,000 messages unacked.
mkfifo "$work/stuck"
zspool pull files -g indexers -n 5000 >"$work/stuck" &
victim=$!
exec {pipe}<"$work/stuck"
IFS= read -r -u "$pipe" first
say "the victim has begun with: $first"
kill -9 "$victim"
wait "$victim" 2>/dev/null || true
printed "$first" "$pipe" >"$work/done.0"

workers=()
for number in 1 2 3; do
    zspool pull files -g indexers --format '%d %s\n' >"$work/got.$number" & # deliveries, the line
    workers+=($!)
done
await_group indexers files
stop "${workers[@]}"

held=$(cat "$work"/got.? | awk '$1 > 1' | wc -l)
[[ $held -gt 0 ]] || fail "the dead worker held nothing"
{ cat "$work/done.0"; cut -d ' ' -f 2- "$work"/got.?; } | sort -u >"$work/done"
sort -u "$work/input" >"$work/wanted"
same_lines "the four workers" "$work/wanted" "$work/done"
say "$held messages came back from the dead worker; all $(wc -l <"$work/done") were done"
