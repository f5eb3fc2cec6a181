#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Some messages cannot be worked on: they are dead, and copied to a topic of their own. One
# looks at them, drops one, mends the worker and lets the others come again, not too fast. The broker
# is killed in between; each dead message is copied once, and each redriven one is done once.
source "$(dirname "$0")/lib.sh"

count=300
real_lines "$count" | awk '{ print (NR % 10 == 0 ? "broken " : "fine ") $0 }' >"$work/input"
grep '^broken' "$work/input" >"$work/broken"
broken=$(wc -l <"$work/broken")
broker_start
zspool topic create mails
zspool group create crew --topic mails --max-failures 2 --backoff 20ms,50ms \
    --dead-letter-topic graves
zspool pub mails <"$work/input"

# The worker: its command is run once for each message, and tells by its status what to do.
: >"$work/done"
work_off() { # COMMAND
    zspool work mails -g crew -j 4 -e -- sh -c "$1" sh "$work/done" 2>>"$work/worker.err" || true
}
dead() { # what the group lists: a field of each row, added up
    zspool dead ls crew --json | grep -oE "\"$1\": ?[0-9]+" | awk -F: '{ n += $2 } END { print n + 0 }'
}
await_graves() { # COUNT
    local end=$((SECONDS + 30))
    until zspool read graves >"$work/graves" 2>/dev/null && [[ $(wc -l <"$work/graves") -ge $1 ]]; do
        [[ $SECONDS -lt $end ]] || fail "$(wc -l <"$work/graves") copies, wanted $1"
        sleep 0.1
    done
}

# shellcheck disable=SC2016
work_off 'line=$(cat); case $line in broken*) echo "cannot parse" >&2; exit 65;; esac
          echo "$line" >>"$1"'
[[ $(dead count) -eq $broken ]] || fail "$(dead count) are dead, wanted $broken"
await_graves "$broken"
same_lines "the copies" "$work/broken" "$work/graves"
say "$broken of $count messages are dead, and copied to a topic of their own"

broker_kill
broker_start
[[ $(dead count) -eq $broken ]] || fail "after a crash $(dead count) are dead, wanted $broken"
first=$(zspool dead ls crew -n 1 | awk 'NR == 2 { sub(/\.\..*/, "", $1); print $1 }')
zspool dead show crew "$first" | grep -q '^broken' || fail "show does not print $first"
zspool dead drop crew "$first" --yes
[[ $(zspool dead redrive crew --all --dry-run --json | grep -oE '"messages": ?[0-9]+' | tr -dc 0-9) \
    -eq $((broken - 1)) ]] || fail "the dry run counts wrongly"
if zspool dead redrive crew "$first" --yes 2>"$work/slip"; then fail "what was dropped came back"; fi
say "one is dropped; nobody redrives it by mistake: $(cat "$work/slip")"

# The worker is mended; twenty messages a second are enough for it.
began=$(date +%s%N)
zspool dead redrive crew --all --rate 20 --yes
end=$((SECONDS + 60))
until [[ $(dead count) -eq 0 ]]; do
    [[ $SECONDS -lt $end ]] || fail "$(dead count) are still dead"
    sleep 0.2
done
took_ms=$((($(date +%s%N) - began) / 1000000))
[[ $took_ms -ge $(((broken - 1) * 1000 / 20 - 500)) ]] || fail "redriven within $took_ms ms"
# shellcheck disable=SC2016
work_off 'line=$(cat); echo "$line" >>"$1"'
grep -vxF "$(head -n 1 "$work/broken")" "$work/input" | sort >"$work/wanted"
sort "$work/done" >"$work/got"
same_lines "what was done" "$work/wanted" "$work/got"
await_graves "$broken"
same_lines "the copies in the end" "$work/broken" "$work/graves"
say "the worker is mended: all $((count - 1)) others are done, each once; the redrive took $took_ms ms"
