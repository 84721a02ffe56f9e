#!/bin/bash
# resume_test.sh: nothing that was measured is lost, and nothing is measured twice.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

select_args=(--kernels headline --dtype f32 --hidden 64,65,66,67 --residency L2 --processes 8 --rounds 8)

start() { # DIR: a run in the background, its pid in $pid
    "$normbench" run "${select_args[@]}" --out "$1" --quiet >"$work/out" 2>"$work/err" &
    pid=$!
}
units() { jq -r 'select(.type=="done")|"\(.process) \(.cell)"' "$1/samples.jsonl" 2>/dev/null | sort; }
wait_for_units() { # DIR N
    for _ in $(seq 400); do
        [ "$(units "$1" | wc -l)" -ge "$2" ] && return 0
        kill -0 $pid 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

# kill -9 of the orchestrator in mid-run
start killed
expect "some units end" wait_for_units killed 8
kill -9 $pid
wait $pid 2>/dev/null
sleep 0.3
orphans() {
    for p in /proc/[0-9]*; do
        [ "$(readlink "$p/exe")" = "$normbench" ] && grep -q -- --worker "$p/cmdline" && echo "$p"
    done 2>/dev/null
}
expect "no worker outlives its orchestrator" [ -z "$(orphans)" ]
units killed >before
lines=$(wc -l <killed/samples.jsonl)
head -c "$(head -n "$lines" killed/samples.jsonl | wc -c)" killed/samples.jsonl >kept
printf '{"type":"round","proc' >>killed/samples.jsonl # a line cut off in the middle
nb run --resume killed --quiet
expect "resume exits 0, not $rc" [ "$rc" = 0 ]
expect "what was measured is still there" cmp -n "$(wc -c <kept)" kept killed/samples.jsonl
expect "no finished unit was measured again" [ "$(units killed | uniq -d)" = "" ]
expect "all units ended" [ "$(units killed | wc -l)" = 40 ]
expect "results are there" [ -s killed/results.csv ]
nb run --resume killed --quiet
expect "resuming a finished run changes nothing: $rc" [ "$rc" = 0 ]
expect "no unit more" [ "$(units killed | wc -l)" = 40 ]

# killed while checking, before anything was calibrated
start early
for _ in $(seq 200); do [ -s early/checks.jsonl ] && break; sleep 0.01; done
kill -9 $pid
wait $pid 2>/dev/null
nb run --resume early --quiet
expect "an early kill can be resumed: $rc" [ "$rc" = 0 ]
expect "all units ended" [ "$(units early | wc -l)" = 40 ]

# Ctrl-C
start interrupted
expect "some units end" wait_for_units interrupted 3
kill -INT $pid
wait $pid
rc=$?
expect "130 after Ctrl-C, not $rc" [ $rc = 130 ]
expect "it says how to go on" grep -q -- "--resume interrupted" err
nb run --resume interrupted --quiet
expect "and that works: $rc" [ "$rc" = 0 ]

# refusals
fails 1 "another plan" run --resume killed --hidden 128
fails 1 "no run that can be resumed" run --resume "$work/none"
cp -r killed edited
sed -i 's/"rounds": 8/"rounds": 9/' edited/plan.json
fails 1 "was changed" run --resume edited
cp -r killed other
jq '.binary = "0000000000000000"' other/host.json >h && mv h other/host.json
fails 1 "another program" run --resume other
cp -r killed cpu
jq '.cpu.model = "Z80"' cpu/host.json >h && mv h cpu/host.json
fails 1 "another CPU" run --resume cpu

# a full disk: what fits is kept, the message says so, and the run can go on elsewhere in time
if [ "$(id -u)" = 0 ] && mkdir full && mount -t tmpfs -o size=2900k tmpfs full 2>/dev/null; then
    "$normbench" run "${select_args[@]}" --out full/run --quiet >out 2>err &
    pid=$!
    expect "it begins" wait_for_units full/run 2
    dd if=/dev/zero of=full/filler bs=1k count=2900 2>/dev/null
    wait $pid
    rc=$?
    expect "exit 1 on a full disk, not $rc" [ $rc = 1 ]
    expect "it says what is wrong" grep -q "No space left" err
    units full/run >before
    rm full/filler
    nb run --resume full/run --quiet
    expect "resumed after room was made: $rc" [ "$rc" = 0 ]
    expect "units of before were kept" [ -z "$(units full/run | uniq -d)" ]
    umount full
fi

# two runs at once on the same cores
start first
expect "some units end" wait_for_units first 1
fails 1 "in use by another normbench run" run "${select_args[@]}" --out second
wait $pid
finish
