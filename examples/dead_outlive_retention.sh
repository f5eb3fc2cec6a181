#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A topic keeps little, and a few of its messages died. Retention drops the log around them; the group
# keeps the dead ones alone, over a crash as well, until whatever they died of is mended: then they are
# redriven, and done once.
source "$(dirname "$0")/lib.sh"

count=6000
# Some 400 bytes each: more in all than the topic may hold, and far more than it is to keep.
real_lines "$count" | awk '{ printf "%s %s %0300d\n", NR <= 1000 && NR % 80 == 0 ? "broken" : "fine", $0, NR }' \
    >"$work/input"
grep '^broken' "$work/input" >"$work/broken"
broken=$(wc -l <"$work/broken")
broker_start
zspool topic create mails --retention-bytes 256KiB --max-bytes 1MiB
zspool group create crew --topic mails --dead-retention 7d --dead-retention-bytes 16MiB
figure() { # PATTERN: the last number that follows it in the topic's info
    zspool topic info mails --json | grep -oE "$1" | tail -n 1 | grep -oE '[0-9]+$' || echo 0
}
dead() { zspool dead ls crew --json | grep -oE '"count": ?[0-9]+' | awk -F: '{ n += $2 } END { print n + 0 }'; }

# Of each eighty the last one cannot be worked on.
: >"$work/done"
head -n 1000 "$work/input" | zspool pub mails
for _ in $(seq "$broken"); do
    zspool pull mails -g crew -n 79 >>"$work/done"
    zspool pull mails -g crew -n 1 --outcome reject >>"$work/rejected"
done
same_lines "what was rejected" "$work/broken" "$work/rejected"

# The others come, in pieces that the topic keeps until they are worked on; when it is full, publishing
# waits for retention.
tail -n +1001 "$work/input" | split -l 500 - "$work/piece."
for piece in "$work"/piece.*; do
    zspool pub mails --timeout 60s <"$piece"
    zspool pull mails -g crew -e >>"$work/done"
done
start=$(figure '"start": ?[0-9]+')
[[ $start -ge 1000 ]] || fail "the log begins at $start: retention did not pass the dead"
[[ $(dead) -eq $broken ]] || fail "$(dead) are dead, wanted $broken"
zspool read mails >"$work/log"
if grep -q '^broken' "$work/log"; then fail "a dead message is in the log that begins at $start"; fi
say "the log begins at $start; of what was before it the $broken dead messages are left"

broker_kill
broker_start
[[ $(dead) -eq $broken ]] || fail "after a crash $(dead) are dead, wanted $broken"
for address in mails/0/79 mails/0/959; do
    zspool dead show crew "$address" | grep '^broken' >>"$work/shown"
done
sed -n '1p;$p' "$work/broken" >"$work/first and last"
same_lines "what is shown" "$work/first and last" "$work/shown"
island=$(figure '"first": ?[0-9]+,"bytes": ?[0-9]+')
[[ $island -gt 0 && $island -le 65536 ]] || fail "the dead messages take $island bytes"

zspool dead redrive crew --all --yes
broker_kill
zspool fsck "$work/data" >"$work/checked" || fail "fsck: $(cat "$work/checked")"
broker_start
zspool pull mails -g crew -e >"$work/again"
same_lines "what came again" "$work/broken" "$work/again"
cat "$work/again" >>"$work/done"
same_lines "what was done" "$work/input" "$work/done"
[[ $(left_over crew mails) -eq 0 && $(dead) -eq 0 ]] || fail "something is left over"
lost=$(zspool group info crew --json | grep -oE '"lost": ?[0-9]+' | tr -dc 0-9)
[[ $lost -eq 0 ]] || fail "the group lost $lost"
say "redriven over another crash, and done once"
