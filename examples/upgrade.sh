#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# An upgrade in place: the data directory that an older zspoold left behind, after
# kill -9 even, and today's zspoold on top of it. Everything is there, the group goes on
# where it was, and a directory of a version still to come is refused untouched.
source "$(dirname "$0")/lib.sh"

tar -xf "$examples/../tests/data/store-1.tar.xz" -C "$work"
broker_start
say "served again: $(zspool topic ls | tr '\n' ' ')"
zspool read events >"$work/before"
[[ $(grep -ac '^message ' "$work/before") -eq 2001 ]] || fail "messages of topic events are missing"
[[ $(zspool topic info orders --json) == *'"retention_bytes":1099511627776'* ]] ||
    fail "topic orders lost its settings"
[[ $(zspool producer info till-7 --json) == *'"sequence":80'* ]] ||
    fail "producer till-7 lost its sequences"

# The group had 13 messages done, one dead, one in its retry, 23 under a lease that
# is live still: none of these may come again.
part=$(zspool group info billing --json)
for state in '"ready":1963' '"leased":23' '"waiting":1' '"dead":1'; do
    [[ $part == *"$state"* ]] || fail "group billing: no $state in $part"
done
zspool pull events -g billing -e --json >"$work/pulled"
[[ $(wc -l <"$work/pulled") -eq 1963 ]] || fail "$(wc -l <"$work/pulled") messages, wanted 1963"
[[ $(grep -cE '"offset":(0|1|2|3|4|10|19),' "$work/pulled") -eq 0 ]] || fail "what was done came again"

# What is new joins what is old, and the next crash finds both.
zspool pub events "after the upgrade"
broker_kill
broker_start
zspool read events >"$work/after"
{ cat "$work/before"; echo "after the upgrade"; } | cmp - "$work/after" || fail "the log has changed"
say "all of it is there, and goes on"

broker_kill
sed -i 's/^version 2$/version 3/' "$work/data/FORMAT"
status=0
within 60 zspoold --data "$work/data" --listen "$ZSPOOL_SERVER" 2>"$work/refusal" || status=$?
[[ $status -eq 4 ]] || fail "a store of version 3: exit $status, wanted 4"
grep -q 'store of version 3, this broker knows 2' "$work/refusal" || fail "$(cat "$work/refusal")"
say "a store of a version to come is refused: $(tail -n 1 "$work/refusal")"
