#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# poll_loop.c, epoll_loop.c and zloop.c: the same work, in three kinds of event
# loop. Each copies a topic to another one while a broker is killed and comes
# back; afterwards nothing is missing, and the group has nothing left to do.
source "$(dirname "$0")/lib.sh"

real_lines >"$work/input"
broker_start
zspool topic create in --partitions 2
zspool pub in <"$work/input"

for loop in poll_loop epoll_loop zloop; do
    "$loop" in "out.$loop" "$loop" >"$work/$loop.said" &
    relay=$!
    zspool pull "out.$loop" -g watcher -n 1 --outcome none --wait 30s >/dev/null
    broker_kill # the loop is in the middle of it
    ! grep -q . "$work/$loop.said" || say "$loop was faster than the kill"
    broker_start
    await "$relay"
    zspool read "out.$loop" | sort -u >"$work/$loop"
    same_lines "$loop" "$work/input" "$work/$loop"
    await_group "$loop" in
    say "$loop: $(cat "$work/$loop.said")"
done
