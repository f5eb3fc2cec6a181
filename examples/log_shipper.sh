#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A log shipper: `tail -F FILE | zspool pub TOPIC`. The file is rotated and the broker is
# killed and started again while lines are written; every line is in the topic in
# the end, once and in order.
source "$(dirname "$0")/lib.sh"

lines=3000 # of each of the four parts
log=$work/app.log
write_part() { # NUMBER
    seq -f "$1 line %.0f" $lines | tee -a "$work/written" >>"$log"
}
await_shipped() { # COUNT: until so many are in the topic
    within 60 zspool read app -f -n "$1" >"$work/shipped" || fail "only $(wc -l <"$work/shipped") shipped"
}

broker_start
zspool topic create app
: >"$log"
: >"$work/confirms"
mkfifo "$work/pipe"
zspool pub app --json <"$work/pipe" >"$work/confirms" &
publisher=$!
tail -n +1 -s 0.1 -F "$log" >"$work/pipe" 2>"$work/tail.err" &
shipper=$!

write_part 1
await_shipped $lines
say "part 1 is shipped; now the file is rotated"
mv "$log" "$log.1"
write_part 2
await_shipped $((2 * lines))

say "now the broker dies in the middle of part 3"
zspool read app -f -n $((2 * lines + 1)) >"$work/begun" &
begun=$!
write_part 3
wait "$begun" || fail "part 3 did not begin"
broker_kill
write_part 4
mv "$log" "$log.2"
: >"$log"
broker_start
await_shipped $((4 * lines))

# The end of its input is the end of the publisher: all of it is confirmed.
kill "$shipper"
wait "$publisher" || fail "the publisher ended with status $?"
[[ $(confirmed "$work/confirms") -eq $((4 * lines)) ]] ||
    fail "$(confirmed "$work/confirms") confirmed, wanted $((4 * lines))"
zspool read app | cmp - "$work/written" || fail "the topic is not what was written"
say "$((4 * lines)) lines, each once and in order, over two rotations and a kill -9 of the broker"
