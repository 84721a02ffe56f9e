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
raw() { (cd "$1" && md5sum host.json plan.json checks.jsonl samples.jsonl && stat -c %y host.json plan.json); }
raw killed >before
rm killed/report.md
nb run --resume killed
expect "resuming a finished run changes nothing: $rc" [ "$rc" = 0 ]
expect "its raw files least of all" [ "$(raw killed)" = "$(cat before)" ]
expect "it says so" grep -q "is finished" err
expect "its report is made again" [ -s killed/report.md ]

# killed while checking, before anything was calibrated
start early
for _ in $(seq 200); do [ -s early/checks.jsonl ] && break; sleep 0.01; done
kill -9 $pid
wait $pid 2>/dev/null
nb run --resume early --quiet
expect "an early kill can be resumed: $rc" [ "$rc" = 0 ]
expect "all units ended" [ "$(units early | wc -l)" = 40 ]

# a worker killed from outside is no crash of the kernel that ran
worker() { # waits for a worker of $pid that has begun to measure, and tells its pid
    local p
    for _ in $(seq 200); do
        for p in $(awk -v p=$pid '$4 == p {print $1}' /proc/[0-9]*/stat 2>/dev/null); do
            [ -s "$1/samples.jsonl" ] && tail -1 "$1/samples.jsonl" | grep -q '"round"' && echo "$p" && return
        done
        sleep 0.01
    done
}
"$normbench" run "${select_args[@]}" --out outside >out 2>err &
pid=$!
expect "some units end" wait_for_units outside 2
kill -9 "$(worker outside)"
wait $pid
rc=$?
expect "the run goes on and ends with 0, not $rc" [ $rc = 0 ]
expect "it says what happened" grep -q "killed by signal 9 (Killed) from outside" err
expect "nothing is called a crash" [ "$(jq -s '[.[]|select(.verdict!="PASS")]|length' outside/checks.jsonl)" = 0 ]
expect "all units ended" [ "$(units outside | wc -l)" = 40 ]

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

cp -r killed untested
jq -c "select(.kernel | test(\"layernorm\")) | .verdict = \"UNTESTED\"" killed/checks.jsonl | head -1 >>untested/checks.jsonl
nb run --resume untested --quiet
expect "an untested kernel is a failure: $rc" [ "$rc" = 2 ]

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
cp -r killed place
jq ".host = \"elsewhere\"" place/host.json >h && mv h place/host.json
fails 1 "another host name" run --resume place
cp -r killed caches
jq ".caches.l2 = 1234" caches/host.json >h && mv h caches/host.json
fails 1 "another set of caches" run --resume caches
for key in screening seed processes; do
    rm -rf edited && cp -r killed edited
    jq ".$key = 7" edited/plan.json >h && mv h edited/plan.json
    fails 1 "was changed" run --resume edited
done
for setting in "--processes 20" "--seed 9" "--rounds 1" "--budget 5s"; do
    # shellcheck disable=SC2086 # two words
    fails 1 "a resumed run keeps its settings" run --resume killed $setting
done
nb run --resume killed "${select_args[@]:0:8}" --quiet
expect "the same selection again is no other plan: $rc" [ "$rc" = 0 ]
if [ "$(nproc)" -gt 1 ]; then
    cp -r killed fewer
    taskset -c 0 "$normbench" run --resume fewer >out 2>err
    rc=$?
    expect "fewer cores are refused with 1, not $rc" [ $rc = 1 ]
    expect "and the message says so" grep -q "number or set of cores" err
fi

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

# two runs at once on the same cores, or in the same folder
start first
expect "some units end" wait_for_units first 1
fails 1 "in use by another normbench run" run "${select_args[@]}" --out second
mkdir other_locks
NB_LOCK_DIR=$work/other_locks fails 1 "is being written by another normbench" run --resume first
wait $pid
finish
