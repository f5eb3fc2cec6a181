#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A pipeline of shell commands with a durable topic between any two: `zspool work` runs
# a command for each message, and what that prints is published to the next topic. A
# command fails on its first try now and then, and the broker is killed in the middle of it
# all: retries put it right.
source "$(dirname "$0")/lib.sh"

count=150
real_lines $count >"$work/input"
broker_start
for topic in lines upper sums; do
    zspool topic create "$topic"
done
zspool group create upper --topic lines --backoff 100ms

# Every seventh message fails when it comes for the first time. `pub -D ""` takes all of its
# input as one message; the shell's exit code is that of pub: no ack before the confirm.
zspool work lines -g upper -j 4 --quiet -- sh -c '
    [ $((ZSPOOL_OFFSET % 7)) -ne 0 ] || [ "$ZSPOOL_FAILURES" -gt 0 ] || exit 1
    tr a-z A-Z | zspool pub upper -D "" -k "$ZSPOOL_TOPIC/$ZSPOOL_OFFSET"' &
first=$!
zspool work upper -g sums -j 2 --quiet -- sh -c '
    cksum | zspool pub sums -D "" -k "$ZSPOOL_KEY"' &
second=$!

# Each stage works as soon as there is something for it.
zspool pub lines <"$work/input"
within 120 zspool read sums -f -n $((count / 3)) >"$work/third" || fail "nothing comes through"
broker_kill
broker_start
within 120 zspool read sums -f -n $count --json >"$work/sums" ||
    fail "$(wc -l <"$work/sums") of $count came through"
stop "$first" "$second"

[[ $(left_over upper lines) -eq 0 && $(left_over sums upper) -eq 0 ]] || fail "something is left"
while IFS= read -r line; do
    printf '%s' "$line" | tr a-z A-Z | cksum
done <"$work/input" >"$work/wanted"
zspool read sums | grep . >"$work/got" # cksum ends its line itself
same_lines "the sums" "$work/wanted" "$work/got"
[[ $(grep -oE '"key":"lines/[0-9]+"' "$work/sums" | sort -u | wc -l) -eq $count ]] ||
    fail "not every message came through once"
say "$count messages went through two stages, each once, with retries and a broker that was killed"
