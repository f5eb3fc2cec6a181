#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# "Why is it stuck?" A group says in one sentence what keeps it back, of single partitions where it
# differs; and how one message stands in it, who has it, and where it comes from.
source "$(dirname "$0")/lib.sh"

why() { # GROUP REGEX
    zspool group info "$1" >"$work/info"
    grep -qE "$2" "$work/info" || { cat "$work/info" >&2; fail "$1: no \"$2\""; }
    grep -E "$2" "$work/info"
}

broker_start
zspool group create shop --topic orders --max-leased 2 --backoff 1h --backoff-max 1h
why shop '^why: none of its topics exists$'
zspool topic create orders
why shop '^why: nothing is left to take$'
printf 'one\ntwo\nthree\n' | zspool pub orders
why shop '^why: messages are ready, but nobody pulls$'

# A worker takes what it may, and works on it until it is told to go on.
mkfifo "$work/started" "$work/go"
exec {started}<>"$work/started" {go}<>"$work/go"
hold="echo >'$work/started'; read line <'$work/go'; exit 1"
zspool work orders -g shop -j 2 -n 2 --quiet -- sh -c "$hold" &
worker=$!
read -r -u "$started" _
read -r -u "$started" _
why shop '^why: max_leased \(2\) is reached; the oldest lease is at zspool-work since .* ago\), until .*\(in .*\)$'
why shop '^member zspool-work has 2 messages out, pulled .* ago'
zspool read --trace orders/0/0 -g shop >"$work/trace"
grep -q '^at zspool-work since ' "$work/trace" || fail "the holder is not told"

# It gives both back: they fail, and come again in an hour.
printf '\n\n' >&"$go"
await "$worker"
zspool pull orders -g shop -n 1 >/dev/null
why shop '^why: all that is left waits; the next retry is at .*\(in (59|60)m\)$'
zspool read --trace orders/0/0 -g shop --json >"$work/trace"
grep -q '"status":"waiting","deliveries":1,"failures":1' "$work/trace" || fail "$(cat "$work/trace")"
zspool group pause shop
why shop '^why: it is paused since '
zspool group resume shop

# In order: what comes next keeps back what lies behind it.
zspool topic create steps --partitions 2
zspool group create line --topic steps --mode ordered --on-dead hold
printf 'a\tone\na\ttwo\n' | zspool pub steps -K '\t'
zspool work steps -g line -n 1 --quiet -- sh -c "echo >'$work/started'; read line <'$work/go'; exit 65" &
worker=$!
read -r -u "$started" _
why line 'it is at zspool-work since|all that is left is out; offset . is at zspool-work'
echo >&"$go"
await "$worker"
why line '^why: steps partition [01]: the dead message at offset 0 keeps back what lies behind it$'
zspool dead drop line --all --yes >/dev/null
zspool pull steps -g line -e >/dev/null
zspool pub steps --delay 1h later
why line '(offset [0-9]+ is delayed until|the first message is due at) .*\(in (59|60)m\)'
say "each of them said why"
