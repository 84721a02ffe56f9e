#!/bin/bash
# gate_selftest.sh: the gate on itself, 10 times as it is and 10 times with 10 % planted. Fails on what a working gate
# hardly ever does: a false SLOWER in two of the former, or a miss in two of the latter. What was invalid does not count.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
unset NB_TEST_CONDITIONS # here the machine is what is tested

nb gate-selftest --short --quiet --out self
cat "$work/out"
if [ "$(awk '/exit 1: invalid/ { n += $6 == $8 } END { print n + 0 }' out)" = 2 ]; then
    echo "skipped: every run was invalid, so busy is this machine"
    exit 77
fi
expect "no false alarms, no misses: exit 0, not $rc" [ "$rc" = 0 ]
finish
