#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A day with a wrong deployment: billing has been paid out twice over because somebody
# moved its group, and then back too far. A savepoint before the deployment, a pause
# while people look, and undo put it right; nothing is billed that was billed before.
# Now and then the broker is killed in between: what was answered stays.
source "$(dirname "$0")/lib.sh"

count=2000
real_lines "$count" >"$work/input"
broker_start
zspool topic create orders --partitions 3
zspool group create billing --topic orders
zspool pub orders <"$work/input"
bill() { # COUNT: so many more are billed
    zspool pull orders -g billing -n "$1" >>"$work/billed"
}
figure() { # NAME: of the group, over its partitions
    zspool group info billing --json | grep -oE "\"$1\": ?[0-9]+" | awk -F: '{ n += $2 } END { print n }'
}

bill 700
say "700 of $count orders are billed: a savepoint before the new version"
zspool savepoint save billing before-2.0
bill 300

say "somebody moves the group to the beginning by mistake"
zspool group seek billing --all --to earliest --yes >/dev/null
[[ $(figure ready) -eq $count ]] || fail "$(figure ready) ready after the seek"
zspool group pause billing
broker_kill
broker_start
zspool pull orders -g billing -e >"$work/early" || [[ $? -eq 3 ]]
[[ ! -s $work/early ]] || fail "a paused group was handed messages"
zspool savepoint undo billing --dry-run
zspool savepoint undo billing --yes >/dev/null
zspool group resume billing
[[ $(figure ready) -eq $((count - 1000)) ]] || fail "$(figure ready) ready after the undo"
say "undone: what was billed stays billed"
bill 500
sort "$work/billed" | uniq -d >"$work/twice"
[[ ! -s $work/twice ]] || fail "billed twice: $(head -n 3 "$work/twice")"

say "version 2.0 was wrong from its first bill on: back to the savepoint"
told=$(zspool savepoint restore billing before-2.0 --dry-run --json |
    grep -oE '"redelivered": ?[0-9]+' | awk -F: '{ n += $2 } END { print n }')
[[ $told -eq 800 ]] || fail "the dry run tells of $told messages that come again, wanted 800"
zspool savepoint restore billing before-2.0 --yes >/dev/null
broker_kill
broker_start
head -n 700 "$work/billed" >"$work/right"
zspool pull orders -g billing -e >>"$work/right"
same_lines "what version 2.1 billed, with the first 700" "$work/input" "$work/right"
zspool savepoint ls billing
zspool savepoint rm billing before-2.0 --yes
say "all $count orders are billed once by a version that is right"
