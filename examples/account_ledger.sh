#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Bookings of many accounts in one partition, done by several workers with several commands each. Some
# bookings fail at first, one worker is killed amid its work. Whoever does a booking: all of its account
# before it are done, so no account is ever overdrawn, and a booking that is tried again keeps nobody
# waiting but its own account.
source "$(dirname "$0")/lib.sh"

accounts=20
each=24
broker_start
zspool topic create bookings
zspool group create ledger --topic bookings --mode keyed --lease 1s --backoff 50ms

# Booking n of an account: odd ones pay in 10 * n, even ones take out all that the one before paid in.
for ((n = 1; n <= each; n++)); do
    for ((account = 1; account <= accounts; account++)); do
        amount=$((n % 2 == 1 ? 10 * n : -10 * (n - 1)))
        printf 'account-%d\taccount-%d %d %d\n' $account $account $n $amount
    done
done | zspool pub bookings -K $'\t'

: >"$work/done"
book='read -r booking; set -- $booking
      [ "$ZSPOOL_DELIVERIES" -gt 1 ] || [ $(($2 % 5)) -ne 0 ] || exit 1
      echo "$booking" >>"$0"'
for number in 0 1 2; do
    zspool work bookings -g ledger -j 3 --quiet -- sh -c "$book" "$work/done" \
        2>>"$work/workers.err" &
    workers[$number]=$!
done

within 60 head -n $((accounts * each / 3)) < <(exec tail -n +1 -s 0.02 -f --pid=$$ "$work/done") \
    >/dev/null || fail "stuck at $(wc -l <"$work/done") bookings"
kill -9 "${workers[0]}"
wait "${workers[0]}" 2>/dev/null || true
say "killed a worker after $(wc -l <"$work/done") bookings"
await_group ledger bookings
stop "${workers[1]}" "${workers[2]}"

# Done once, or once more after its worker died: then the same booking as before.
awk -v accounts=$accounts -v each=$each '
    $2 > last[$1] + 1 { printf "%s: %d was done when %d was the last\n", $1, $2, last[$1]; bad = 1 }
    $2 > last[$1] { last[$1] = $2; balance[$1] += $3 }
    balance[$1] < 0 { printf "%s: %d after booking %d\n", $1, balance[$1], $2; bad = 1 }
    END {
        for (account = 1; account <= accounts; account++) {
            name = "account-" account
            if (last[name] != each || balance[name] != 0) {
                printf "%s: %d of %d, balance %d\n", name, last[name], each, balance[name]
                bad = 1
            }
        }
        exit bad
    }' "$work/done" || fail "the order of an account was broken"
say "$((accounts * each)) bookings of $accounts accounts, each in its order"
