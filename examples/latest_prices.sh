#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A table of the latest price of each symbol, kept as a topic that is compacted by key: whoever
# replays it from the beginning has the whole table, however often prices have changed. Symbols that
# are taken off the list get an empty payload; those vanish after a while, too. The broker is killed
# in between, and consumers go on where they were.
source "$(dirname "$0")/lib.sh"

symbols=300
updates=60000
export ZSPOOL_DATA_SEGMENT_SIZE=1MiB
broker_start
zspool topic create prices --cleanup compact --compact-ratio 30 --tombstone-retention 1s
zspool group create ticker --topic prices

# Some 60 bytes each: 4 MiB in all. The last ones take every tenth symbol off the list.
awk -v n="$updates" -v s="$symbols" 'BEGIN { srand(7)
    for (i = 0; i < n; i++) printf "SYM%03d=%d.%02d %040d\n", rand() * s, rand() * 900, rand() * 100, i
    for (i = 0; i < s; i += 10) printf "SYM%03d=\n", i
    for (i = 0; i < n; i++) printf "SYM%03d=%d.%02d %040d\n", int(rand() * s / 10) * 10 + 1 + rand() * 9, rand() * 900, rand() * 100, n + i
}' >"$work/input"
zspool pub prices -K = <"$work/input"
table() { # the last line of each key, those with an empty payload taken off
    awk -F= '{ if ($2 == "") delete last[$1]; else last[$1] = $0 } END { for (k in last) print last[k] }' | sort
}
table <"$work/input" >"$work/want"
replay() { zspool read prices --from earliest --format '%k=%s\n'; }
held() { zspool topic info prices --json | grep -oE '"bytes": ?[0-9]+' | head -n 1 | awk -F: '{ print $2 }'; }
before=$(held)
zspool pull prices -g ticker -n 10 >/dev/null

if zspool pub prices "no key" 2>"$work/refused"; then fail "a message without a key was taken"; fi
grep -qE "no key|key in each" "$work/refused" || fail "not told what is missing: $(cat "$work/refused")"

tombstones() { replay | grep -c '=$' || true; }
for _ in $(seq 150); do
    [[ $(held) -lt $((before / 3)) && $(tombstones) -eq 0 ]] && break
    sleep 0.4
done
[[ $(held) -lt $((before / 3)) ]] || fail "it holds $(held) bytes, there were $before"
[[ $(tombstones) -eq 0 ]] || fail "tombstones have not gone"
say "of $before bytes $(held) are left, and none of the symbols that were taken off"
replay | table >"$work/table"
same_lines "the table" "$work/want" "$work/table"

broker_kill
broker_start
replay | table >"$work/table"
same_lines "the table after a crash" "$work/want" "$work/table"
zspool pull prices -g ticker -e --format '%k=%s\n' >"$work/ticks"
table <"$work/ticks" >"$work/table"
same_lines "what a slow group saw last" "$work/want" "$work/table"
left=$(wc -l <"$work/ticks")
[[ $left -lt $((updates / 2)) ]] || fail "the group got $left messages"
say "the table of $(wc -l <"$work/want") prices is whole; a slow group got it with $left messages instead of $((2 * updates))"
broker_kill
zspool fsck "$work/data" >"$work/fsck" || fail "fsck: $(cat "$work/fsck")"
