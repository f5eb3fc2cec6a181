#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A group of yesterday has done its work. A new group starts with the last
# minutes, or at an exact moment, and gets just those messages again.
source "$(dirname "$0")/lib.sh"

real_lines 20000 >"$work/input"
head -n 12000 "$work/input" >"$work/before"
tail -n +12001 "$work/input" >"$work/after"
broker_start
zspool pub files <"$work/before"
zspool pub files <"$work/after"
zspool pull files -g old -e >"$work/old"
same_lines "the old group" "$work/input" "$work/old"

# All of it is younger than five minutes.
zspool pull files -g recent --start 5m -e >"$work/recent"
same_lines "the last five minutes" "$work/input" "$work/recent"

# An exact moment: that of the first message of the second half.
moment=$(zspool read files --from 12000 -n 1 --json | sed -nE 's/.*"timestamp": ?"([^"]+)".*/\1/p')
zspool pull files -g again --start "$moment" -e >"$work/again"
same_lines "since $moment" "$work/after" "$work/again"

# Reading leaves groups alone, and a group can be moved back as well.
zspool read files --from "$moment" >"$work/read"
same_lines "read since $moment" "$work/after" "$work/read"
zspool group seek old --topic files --to 12000 --yes
zspool pull files -g old -e >"$work/old_again"
same_lines "the old group, moved back" "$work/after" "$work/old_again"
say "$(wc -l <"$work/again") of $(wc -l <"$work/input") messages replayed since $moment," \
    "by a new group, by read, and by moving the old group back"
