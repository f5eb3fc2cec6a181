#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# hello_producer.c and hello_worker.c, the programs of the README: two workers
# are there first, ten orders come, each is printed once; Ctrl-C ends the workers
# with nothing left undone.
source "$(dirname "$0")/lib.sh"

broker_start
for number in 1 2; do
    hello_worker "$ZSPOOL_SERVER" >"$work/done.$number" &
    workers[number]=$!
done
hello_producer "$ZSPOOL_SERVER"
await_lines 10 "$work"/done.?
stop "${workers[@]}"

seq -f 'order %.0f' 10 >"$work/wanted"
cat "$work"/done.? >"$work/done"
same_lines "the workers" "$work/wanted" "$work/done"
await_group billing orders
say "10 orders done by 2 workers, which ended at Ctrl-C"
