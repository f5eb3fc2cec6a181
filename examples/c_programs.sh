#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# producer.c and worker.c, the two programs of the README: lines go in on one
# side, each comes out at exactly one of four workers, and the addresses are
# those of the log. `producer` and `worker` are found on PATH.
source "$(dirname "$0")/lib.sh"

real_lines 30000 >"$work/input"
broker_start
zspool topic create files --partitions 2
producer files <"$work/input"

workers=()
for number in 1 2 3 4; do
    worker files indexers >"$work/done.$number" &
    workers+=($!)
done
await "${workers[@]}"

cat "$work"/done.? >"$work/done"
cut -d ' ' -f 2- "$work/done" >"$work/payloads"
same_lines "the workers" "$work/input" "$work/payloads"
zspool read files --json >"$work/json"
/usr/bin/python3 -c '
import json, sys
for line in sys.stdin:
    m = json.loads(line)
    print("%s/%d/%d %s" % (m["topic"], m["partition"], m["offset"], m["payload"]))
' <"$work/json" >"$work/log"
same_lines "address and payload" "$work/log" "$work/done"
say "$(wc -l <"$work/done") messages done by 4 workers, each once, at its address"
