#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Orders of three kinds on one topic: the usual ones, urgent ones that overtake all that wait,
# reminders that wait for their time; and offers, which nobody wants any more when it is over.
# The broker is killed in between: nothing comes early, nothing is forgotten.
source "$(dirname "$0")/lib.sh"

broker_start
zspool topic create orders
zspool group create packers --topic orders
zspool group create nobody --topic orders # pulls

real_lines 5000 | zspool pub orders
zspool pub orders -P 0 'tidy up'
published=$(date +%s%3N)
zspool pub orders --delay 6s 'remind the customer'
zspool pub orders --ttl 1s 'offer of the minute'
zspool pub orders --ttl 1h 'offer of the hour'
zspool pub orders -P 9 'stop the belt'

# The last one published is the first to come, with 5,000 waiting.
zspool pull orders -g packers -n 1 --json >"$work/first"
grep -q '"priority":9.*"payload":"stop the belt"' "$work/first" || fail "the urgent order did not come first"
say "the urgent order overtook $(left_over packers orders) others"

broker_kill
until [[ $(date +%s%3N) -gt $((published + 3000)) ]]; do sleep 0.1; done # the offer is over
broker_start

# All the rest that is due, the least urgent last; neither the offer that expired nor the reminder.
zspool pull orders -g packers -e >"$work/second"
[[ $(tail -n 1 "$work/second") == 'tidy up' ]] || fail "the least urgent did not come last"
{ real_lines 5000; echo 'offer of the hour'; echo 'tidy up'; } >"$work/wanted"
same_lines "after the restart" "$work/wanted" "$work/second"
expired_of() { zspool group info "$1" --json | sed -nE 's/.*"expired": ?([0-9]+).*/\1/p'; }
[[ $(expired_of packers) == 1 ]] || fail "the offer that expired is not counted"

# Also in the group that nobody pulls for.
until [[ $(expired_of nobody) == 1 ]]; do
    [[ $(date +%s%3N) -lt $((published + 60000)) ]] || fail "what nobody pulls did not expire"
    sleep 0.1
done

zspool pull orders -g packers -n 1 --json >"$work/third"
came=$(date +%s%3N)
grep -q '"payload":"remind the customer"' "$work/third" || fail "the reminder did not come"
[[ $came -ge $((published + 6000)) ]] || fail "the reminder came $((published + 6000 - came)) ms early"
await_group packers orders
say "the reminder came $((came - published)) ms after it was published, asked for 6,000"

# Where urgent ones never end the others would never come; with weights they have turns.
zspool topic create parcels
zspool group create drivers --topic parcels --priority weighted
seq 500 | zspool pub parcels -P 9
zspool pub parcels -P 0 'the parcel that can wait'
broker_kill
broker_start
zspool pull parcels -g drivers -n 32 >"$work/weighted"
grep -qx 'the parcel that can wait' "$work/weighted" || fail "the least urgent had no turn of 32"
say "the least urgent was number $(grep -nx 'the parcel.*' "$work/weighted" | cut -d: -f1) of 501"
