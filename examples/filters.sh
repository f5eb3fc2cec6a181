#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# One topic of many types, and groups that take some of them: each gets what its filter wants, whatever
# lies between, and is done with all of it.
source "$(dirname "$0")/lib.sh"

broker_start
zspool topic create events --partitions 2
zspool group create eu --topic events \
    --filter 'type ^= "order." and header.region in ("eu", "uk") and not header.test exists'
zspool group create refunds --topic events --filter 'type = "order.refunded"'
zspool group create everything --topic events

event() { # TYPE REGION COUNT [MORE]...: so many messages of a type from a region
    seq -f "$1 $2 %g" "$3" | zspool pub events --type "$1" -H "region=$2" "${@:4}"
}
zspool pull events -g eu >"$work/eu" & # waits from the beginning
worker=$!
event order.created us 5000
event order.created eu 300
event page.viewed eu 20000 --codec zstd
event order.refunded uk 20
event order.created eu 7 -H test=yes
event order.refunded us 30 --codec zstd

for group in eu refunds everything; do
    [[ $group == eu ]] || zspool pull events -g "$group" -e >"$work/$group"
    await_group "$group" events
    say "group $group: $(wc -l <"$work/$group") messages, and nothing is left to do"
done
stop "$worker"
{ seq -f 'order.created eu %g' 300; seq -f 'order.refunded uk %g' 20; } >"$work/want.eu"
{ seq -f 'order.refunded uk %g' 20; seq -f 'order.refunded us %g' 30; } >"$work/want.refunds"
same_lines "group eu" "$work/want.eu" "$work/eu"
same_lines "group refunds" "$work/want.refunds" "$work/refunds"
[[ $(wc -l <"$work/everything") -eq 25357 ]] || fail "everything is $(wc -l <"$work/everything")"

# A filter may change; it holds after a crash, and for what has not been handed out.
zspool group set refunds --filter 'type = "page.viewed" and key exists'
broker_kill
broker_start
event order.refunded us 3
zspool pub events --type page.viewed -k somebody 'somebody looked'
[[ $(zspool pull events -g refunds -e) == 'somebody looked' ]] || fail "the filter was not kept"
if zspool group set refunds --filter 'type == "x"' 2>"$work/err"; then
    fail "a wrong filter was taken"
fi
grep -q 'position 6: wanted a text in double quotes, got =' "$work/err" || fail "$(cat "$work/err")"
say "a changed filter survives a crash; a wrong one says what is wrong with it"
