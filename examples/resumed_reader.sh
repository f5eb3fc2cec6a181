#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# A topic of several partitions is copied to a file by a reader that is stopped and started, over a crash of
# the broker and while the topic grows. Each line is there once. No group is made for it.
source "$(dirname "$0")/lib.sh"

real_lines 3000 >"$work/input"
place=$work/copy.place
publish() { zspool pub files -K ' '; } # the first word of a line is its key
read_on=(zspool read files --resume "$place" --format '%k %s\n')

broker_start
zspool topic create files --partitions 3
head -n 1000 "$work/input" | publish

# A job that runs now and then: for so many messages, or for all there are.
"${read_on[@]}" -n 250 >"$work/copy"
"${read_on[@]}" >>"$work/copy"

# Now one that follows until it is stopped; the broker crashes and comes back meanwhile.
"${read_on[@]}" -f >>"$work/copy" &
follower=$!
sed -n 1001,2000p "$work/input" | publish
broker_kill
broker_start
await_lines 2000 "$work/copy"
stop "$follower"

# While nobody reads, more comes, also into a partition that was not there before.
zspool topic set files --partitions 4
sed -n 2001,2500p "$work/input" | publish
tail -n +2501 "$work/input" | zspool pub files -K ' ' -p 3
"${read_on[@]}" >>"$work/copy"

sed -i 's/^ //' "$work/copy" # lines without a first word
same_lines "the copy" "$work/input" "$work/copy"
[[ $(zspool group ls) != *files* ]] || fail "a group was made"
say "3000 lines were copied once each, in four runs, over a crash and while the topic grew; the place is" \
    "$(tail -n +4 "$place" | paste -sd ,)"
