#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A group has done a stretch of its work wrong. The stretch is done once more beside it, by two
# members, over a crash of the broker, while the group itself goes on with what is new.
source "$(dirname "$0")/lib.sh"

real_lines 3000 >"$work/input"
sed -n 1001,2000p "$work/input" >"$work/stretch"
broker_start
zspool pub files <"$work/input"
zspool pull files -g index -e >"$work/done"

again=$(zspool group replay index --from 1000 --to 2000)
zspool pull files -g "$again" -n 300 >"$work/first"

# Two members, who need not be told where the stretch ends.
zspool pull files -g "$again" >"$work/second" &
one=$!
zspool work files -g "$again" -- sh -c 'cat; echo' >"$work/third" &
other=$!
broker_kill
broker_start
sed 's/$/ (new)/' "$work/stretch" >"$work/new"
zspool pub files <"$work/new"
wait "$one" || fail "a member did not end well"
wait "$other" || fail "the other member did not end well"

# What was in hand at the crash may be there twice; nothing is missing, nothing else came.
sort -u "$work/first" "$work/second" "$work/third" >"$work/seen"
sort "$work/stretch" >"$work/wanted"
same_lines "the stretch, once more" "$work/wanted" "$work/seen"
zspool group info "$again" | grep -q 'finished' || fail "the replay is not finished"

zspool pull files -g index -e >"$work/went_on"
same_lines "what the group got meanwhile" "$work/new" "$work/went_on"
say "$(wc -l <"$work/stretch") messages were done once more by $again, in three pieces and over a" \
    "crash; group index got $(wc -l <"$work/went_on") new ones"
