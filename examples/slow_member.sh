#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Two members of a group: one is slow, or stuck. It has the one message that it works
# on, and no other lies leased behind it: the fast one does all the rest.
source "$(dirname "$0")/lib.sh"

count=200
seq $count >"$work/input"
broker_start
zspool topic create jobs
mkfifo "$work/started" "$work/go"
exec {started}<>"$work/started" {go}<>"$work/go"

# The slow one says that it began, and goes on when it is told to: much later than its lease
# of one second would last, were it not extended.
zspool group create crew --topic jobs --lease 1s
zspool work jobs -g crew --quiet --json -- sh -c "
    echo >'$work/started'; read line <'$work/go'" >"$work/slow" &
slow=$!
zspool pub jobs <"$work/input"
read -r -u "$started" _
say "the slow member has begun; now comes the fast one"

: >"$work/fast"
zspool work jobs -g crew -j 2 --json -- true >"$work/fast" &
fast=$!
within 60 head -n $((count - 1)) < <(exec tail -n +1 -s 0.05 -f --pid=$$ "$work/fast") >/dev/null ||
    fail "the fast one did $(wc -l <"$work/fast") of $((count - 1))"
[[ $(left_over crew jobs) -gt 0 ]] || fail "the slow one's message is done, and it is not"

# Nothing is left for the fast one, however long it waits: the lease is extended. (For the first ten
# seconds after a start of the broker no lease would end anyway.)
status=0
zspool pull jobs -g crew --wait 13s >"$work/stolen" || status=$?
[[ $status -eq 3 ]] || fail "somebody else got the slow one's message"
stop "$fast"
kill -TERM "$slow" # it finishes what it has in hand
echo >&"$go"
await "$slow"
[[ $(left_over crew jobs) -eq 0 ]] || fail "something is left"
[[ $(wc -l <"$work/slow") -eq 1 && $(wc -l <"$work/fast") -eq $((count - 1)) ]] ||
    fail "the slow one did $(wc -l <"$work/slow"), the fast one $(wc -l <"$work/fast")"
say "the slow member did 1 message, the fast one $((count - 1)) meanwhile"
