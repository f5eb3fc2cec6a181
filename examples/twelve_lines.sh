#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# The client of twelve lines, written from docs/PROTOCOL.md alone, does the
# whole job: it publishes, pulls and settles; what it was confirmed is there
# after kill -9, and what it acked does not come back.
source "$(dirname "$0")/lib.sh"

# The same lines, with this broker's address instead of the default one.
sed "s|tcp://127.0.0.1:7227|$ZSPOOL_SERVER|" "$examples/twelve_lines.py" >"$work/client.py"
python=/usr/bin/python3

broker_start
[[ $("$python" "$work/client.py") == "0 b'hello'" ]] || fail "hello did not come back"

# Its first half, call(), and then real work: one message per line of a real file.
real_lines 5000 >"$work/input"
sed '/^call(/,$d' "$work/client.py" >"$work/publish.py"
cat >>"$work/publish.py" <<'PYTHON'
import sys
lines = open(sys.argv[1], "rb").read().splitlines()
for i in range(0, len(lines), 100):
    call("PUBLISH", {"topic": "orders"}, b"".join(msgpack.packb([l]) for l in lines[i:i + 100]))
PYTHON
"$python" "$work/publish.py" "$work/input"
broker_kill
broker_start

sed '/^call(/,$d' "$work/client.py" >"$work/pull.py"
cat >>"$work/pull.py" <<'PYTHON'
while True:
    reply, bodies = call("PULL", {"group": "billing"})
    if not reply["runs"]: break
    records = msgpack.Unpacker(); [records.feed(b) for b in bodies]
    for run in reply["runs"]:
        for i in range(run[3]): print(next(records)[0].decode())
    call("SETTLE", {"group": "billing", "runs": [run[:5] + ["ack"] for run in reply["runs"]]})
PYTHON
"$python" "$work/pull.py" >"$work/pulled"
same_lines "after kill -9" "$work/input" "$work/pulled"
say "$(wc -l <"$work/pulled") messages confirmed, all there after kill -9; the acked one stayed away"
