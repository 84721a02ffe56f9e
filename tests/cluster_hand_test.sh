#!/bin/bash
# cluster_hand_test.sh: a sweep by hand: the job script on machines without Slurm, merging, going on after a stop, building on the
# node. $2: the source tree.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
job=$2/scripts/slurm/node-job.sh
mkdir none shared

begins() { case $1 in "$2"*) ;; *) return 1 ;; esac; }
state() { jq -r ".nodes[] | select(.node == \"$1\") | .state + \": \" + (.why // \"\")" out; }
# is NODE WORDS: in a status, its state and why begin so
is() { expect "$1 is $2, not $(state "$1")" begins "$(state "$1")" "$2"; }

tiny=(--kernels headline --dtype f32 --hidden 64 --residency L1 --processes 2 --rounds 2)
fails 1 '--by-hand asks nothing of Slurm' cluster submit --by-hand --partition test --dir shared
nb cluster submit --by-hand --dir shared "${tiny[@]}"
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "it tells what to run" grep -qF "$job" out
dir=$(echo "$PWD"/shared/*)
by_hand() { "$job" "$dir" "$@" >out 2>err; rc=$?; }
fails 1 'no node has begun' cluster merge "$dir"
by_hand left
expect "the script exits as the run: 0, not $rc" [ "$rc" = 0 ]
expect "a whole run" [ -s "$dir/nodes/left/run-1/report.md" ]
expect "its words are kept" [ -s "$dir/nodes/left/log-1.txt" ]
OMP_PROC_BIND=true OMP_NUM_THREADS=1 by_hand right
expect "bindings of others do not count: 0, not $rc" [ "$rc" = 0 ]
nb cluster status "$dir"
expect "both done: $rc" [ "$rc" = 0 ]
fails 1 'swept by hand' cluster resubmit "$dir"
by_hand
expect "without a name: that of the host" [ -d "$dir/nodes/$(hostname | cut -d. -f1)" ]
"$job" shared >out 2>err
expect "a folder of no sweep: exit 1" [ $? = 1 ]
expect "it says so" grep -q 'no job.json' err
"$job" >out 2>err
expect "without words: exit 1" [ $? = 1 ]
expect "its usage" grep -q 'usage: node-job.sh' err
by_hand '../x'
expect "no folder beside those of nodes: exit 1, not $rc" [ "$rc" = 1 ]

# A task of an array looks up who it is, and does nothing on a node that is not its own.
in_array() { # INDEX NODE LIST
    SLURM_ARRAY_TASK_ID=$1 SLURMD_NODENAME=$2 "$job" "$dir" --array "$3" >out 2>err
    rc=$?
}
printf 'right 8\nleft 9\n' >"$dir/tasks-1.txt"
in_array 1 right tasks-1.txt
expect "on another node: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says so" grep -q 'task 1 is that of node left, and this is right: it was never bound' err
in_array 2 left tasks-1.txt
expect "no line for it: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says so" grep -q 'tasks-1.txt: no line for task 2' err
in_array 0 right tasks-7.txt
expect "no list: exit 1, not $rc" [ "$rc" = 1 ]
"$job" "$dir" --array tasks-1.txt >out 2>err
expect "no array: exit 1" [ $? != 0 ]
expect "none of that is a try" [ -z "$(ls -d "$dir"/nodes/*/*-[89].* 2>/dev/null)" ]
rm "$dir/tasks-1.txt"

# What is merged: all runs, named by their nodes; a broken one is left out and named. The commands may be absent.
cp -r "$dir/nodes/left" "$dir/nodes/broken"
head -c 100 "$dir/nodes/left/run-1/results.csv" >"$dir/nodes/broken/run-1/results.csv"
jq '.cpu.model = "<script>|`x`\u001b"' "$dir/nodes/left/run-1/host.json" >host && mv host "$dir/nodes/left/run-1/host.json"
nb cluster merge "$dir"
expect "exit 4 or, where a command is absent, 1: not $rc" [ "$rc" = 4 -o "$rc" = 1 ]
expect "three of four" grep -q '^3 of 4 nodes are merged' "$dir/merged/merge.md"
expect "the broken one is named" grep -qE '^\| broken \| no \| .*results.csv' "$dir/merged/merge.md"
expect "and told" grep -q '^not merged: broken' err
expect "hostile texts are none in Markdown" [ "$(grep -cE '<script>|\|`' "$dir/merged/merge.md")" = 0 ]
nb cluster merge "$dir"
expect "a second merge is beside the first" [ "$(readlink "$dir/merged")" = merge-2 ]
expect "which stays" [ -s "$dir/merge-1/merge.md" ]

# A task that is stopped ends in order, and goes on where it stopped.
nb cluster submit --by-hand --dir shared --kernels headline --dtype f32 --hidden 64,65 --residency L2 --processes 6 --rounds 6
dir=$(ls -d "$PWD"/shared/*/ | tail -1) dir=${dir%/}
"$job" "$dir" stopped >out 2>err &
pid=$!
for _ in $(seq 600); do
    [ "$(grep -c '"done"' "$dir/nodes/stopped/run-1/samples.jsonl" 2>/dev/null)" -ge 3 ] 2>/dev/null && break
    sleep 0.05
done
kill -TERM $pid
wait $pid
rc=$?
expect "130, not $rc" [ $rc = 130 ]
nb cluster status "$dir" --json
is stopped 'failed: exit 130: normbench: interrupted'
expect "a part of a run is there" [ "$(jq -c '.nodes[0] | [.whole, .run]' out)" = '[false,"nodes/stopped/run-1"]' ]
units=$(grep -c '"done"' "$dir/nodes/stopped/run-1/samples.jsonl")
by_hand stopped
expect "the second try: 0, not $rc" [ "$rc" = 0 ]
expect "continues: $units units were there" grep -q 'goes on with' err
expect "the same run" [ ! -e "$dir/nodes/stopped/run-2" ]
expect "nothing is measured twice" [ -z "$(jq -r 'select(.type=="done")|"\(.process) \(.cell)"' \
    "$dir/nodes/stopped/run-1/samples.jsonl" | sort | uniq -d)" ]
nb cluster status "$dir" --json
is stopped 'done: '
# another machine's part of a run stays, and a new one begins
jq '.cpu.model = "Z80" | del(.after)' "$dir/nodes/stopped/run-1/host.json" >host && mv host "$dir/nodes/stopped/run-1/host.json"
by_hand stopped
expect "another machine: 0, not $rc" [ "$rc" = 0 ]
expect "the earlier run stays" grep -q 'run-1 cannot be continued here; it stays' err
expect "a run of its own" [ -s "$dir/nodes/stopped/run-3/report.md" ]

# ---- the program on the node ----

ln -sfn "$work/nowhere" "$dir/normbench"
mkdir -p "$dir/nodes/lib"
"$job" "$dir" lib 1 >out 2>err
rc=$?
expect "no program: 127, not $rc" [ $rc = 127 ]
nb cluster status "$dir" --json
is lib 'failed: exit 127: the program does not run on this node'

# --build node: the compiler is another's, so here it is a link
mkdir tools tmp
cat >tools/cmake <<'END'
#!/bin/sh
echo "$@" >>cmake.args
[ ! -e cmake.fails ] || { echo "error: no compiler"; exit 1; }
[ "$1" != --build ] || ln -s "$(cat program)" "$2/normbench"
END
chmod +x tools/cmake
echo "$normbench" >program
nb cluster submit --by-hand --dir shared --build node --source "$work/none" "${tiny[@]}"
expect "no sources there: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says where" grep -q 'no sources in' err
rm -rf shared/*
nb cluster submit --by-hand --dir shared --build node "${tiny[@]}"
expect "exit 0, not $rc" [ "$rc" = 0 ]
dir=$(echo "$PWD"/shared/*)
TMPDIR=$work/tmp PATH=$work/tools:$PATH by_hand built
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "it is built in the node's own folder" grep -q -- "-S $dir/source -B $work/tmp/normbench" cmake.args
expect "which is gone again" [ -z "$(ls tmp)" ]
expect "and measures" [ -s "$dir/nodes/built/run-1/report.md" ]
touch cmake.fails
mkdir "$dir/nodes/unbuilt"
TMPDIR=$work/tmp PATH=$work/tools:$PATH by_hand unbuilt 1
expect "a build that fails: exit 1, not $rc" [ "$rc" = 1 ]
expect "its words are shown" grep -q 'no compiler' err
nb cluster status "$dir" --json
is unbuilt 'failed: exit 1: the build on the node failed'
expect "nothing is left" [ -z "$(ls tmp)" ]
finish
