#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Workers are replaced one after the other, as a deployment does it, while messages come in:
# SIGTERM, wait, start the new one. Each finishes what it has in hand, so no
# message is lost, none is done twice, and none is left leased.
source "$(dirname "$0")/lib.sh"

count=900
seq -f 'job %.0f' $count >"$work/input"
broker_start
zspool topic create jobs

: >"$work/done"
start_worker() { # NUMBER
    zspool work jobs -g crew -j 4 --quiet -- sh -c 'read -r job; echo "$job" >>"$0"' "$work/done" &
    workers[$1]=$!
}
workers=()
for number in 0 1 2; do
    start_worker $number
done

# A third of the messages comes before each round of restarts, which happens amid them.
for round in 1 2 3; do
    head -n $((round * count / 3)) "$work/input" | tail -n $((count / 3)) | zspool pub jobs
    for number in 0 1 2; do
        within 60 head -n $(((round - 1) * count / 3 + (number + 1) * count / 12)) \
            < <(exec tail -n +1 -s 0.02 -f --pid=$$ "$work/done") >/dev/null ||
            fail "round $round: stuck at $(wc -l <"$work/done") messages"
        kill -TERM "${workers[$number]}"
        await "${workers[$number]}"
        start_worker $number
    done
    say "round $round: three workers replaced after $(wc -l <"$work/done") of $count messages"
done
await_group crew jobs
stop "${workers[@]}"

leased=$(zspool group info crew --json | sed -nE 's/.*"leased": ?([0-9]+).*/\1/p')
[[ $leased -eq 0 ]] || fail "$leased messages are left leased"
same_lines "nine workers replaced" "$work/input" "$work/done"
say "all $count messages done once, none left leased"
