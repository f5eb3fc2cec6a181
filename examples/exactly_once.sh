#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Consume, process, produce, with kill -9 a hundred times: of the broker, and of the workers that put
# one topic in capitals into another. Each kill comes in the middle of the work. In the end every line
# of the input is in the output, once.
source "$(dirname "$0")/lib.sh"

rounds=${ZSPOOL_ROUNDS:-100} # fewer in builds that are slow
lines=60 # of one round

real_lines $((rounds * lines)) >"$work/input"
count=$(wc -l <"$work/input")
tr '[:lower:]' '[:upper:]' <"$work/input" >"$work/wanted"

broker_start
zspool topic create in --partitions 3
zspool topic create out --partitions 2
zspool group create capitals --topic in --lease 2s --max-failures 0

# Two kinds of workers: a program that commits up to ten at a time, and a command for each message.
workers=()
worker_start() { # NUMBER
    if [[ $1 -eq 0 ]]; then
        zspool work in -g capitals -j 2 --to out -- tr '[:lower:]' '[:upper:]' \
            >/dev/null 2>>"$work/worker.err" &
    else
        transform in out capitals 2>>"$work/worker.err" &
    fi
    workers[$1]=$!
}
for number in 0 1 2; do worker_start $number; done

# How much is there already.
produced() { zspool topic info out | awk '$1 ~ /^[0-9]+$/ { n += $3 } END { print n + 0 }'; }

killed=0
seen=0
for ((round = 0; round < rounds; round++)); do
    sed -n "$((round * lines + 1)),$(((round + 1) * lines))p" "$work/input" | zspool pub in
    # Kill who is at work: something has come out since the last time.
    end=$((SECONDS + 5))
    while now=$(produced) && [[ $now -eq $seen && $SECONDS -lt $end ]]; do
        sleep 0.01
    done
    seen=$now
    if [[ $((round % 2)) -eq 0 ]]; then
        broker_kill
        broker_start
    else
        number=$((round / 2 % 3))
        kill -9 "${workers[$number]}"
        wait "${workers[$number]}" 2>/dev/null || true
        worker_start $number
    fi
    killed=$((killed + 1))
done

# What the last ones held comes again when its leases end.
await_group capitals in
kill -9 "${workers[@]}"
wait "${workers[@]}" 2>/dev/null || true
zspool read out >"$work/output"
same_lines "the output" "$work/wanted" "$work/output"
say "$count lines, each once, after $killed x kill -9"
