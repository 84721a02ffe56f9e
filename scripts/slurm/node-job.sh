#!/bin/sh
# node-job.sh: one node's part of a sweep that `normbench cluster submit` made; a job of Slurm, or run by hand.
# usage: node-job.sh DIR [NODE [TRY]]
#        node-job.sh DIR --array LIST
#   DIR   the folder of the sweep, which this node sees under that name
#   NODE  what this node is called in it (default: its host name)
#   TRY   its how-manieth try this is (default: the next)
#   LIST  a file in DIR with a line NODE TRY for each task of the array, from 0 on
# Builds normbench first where DIR/source is there (--build node); else DIR/normbench is the program. The exit code is that
# of `normbench run`; 127: there is no program that runs here.
set -u

die() {
    echo "node-job.sh: $2" >&2
    # the words of a task that could not begin; a node that was not named has no folder yet
    if [ -n "$node" ] && [ -n "$try" ] && [ -d "$dir/nodes/$node" ]; then
        printf '{"schema":1,"exit":%d,"signal":null,"reason":"%s"}\n' "$1" "$3" >"$dir/nodes/$node/.ended.$try" &&
            mv "$dir/nodes/$node/.ended.$try" "$dir/nodes/$node/ended-$try.json"
    fi
    exit "$1"
}

case "${1:-}" in
'' | -*)
    sed -n '2,11s/^# //p' "$0" >&2
    exit 1
    ;;
esac
dir=$1 node=${2:-} try=${3:-} program=$1/normbench built='' child=''
if [ "$node" = --array ]; then
    list=$1/$try node='' try='' index=0
    while read -r name number; do
        [ $index != "${SLURM_ARRAY_TASK_ID:?--array is for a task of an array of Slurm}" ] || node=$name try=$number
        index=$((index + 1))
    done <"$list"
    [ -n "$try" ] || die 1 "$list: no line for task $SLURM_ARRAY_TASK_ID" ""
    if [ "${SLURMD_NODENAME:-$node}" != "$node" ]; then
        meant=$node node=''
        die 1 "task $SLURM_ARRAY_TASK_ID is that of node $meant, and this is $SLURMD_NODENAME: it was never bound to its node" ""
    fi
fi
[ -e "$dir/job.json" ] || die 1 "$dir: no job.json in it; is that the folder of a sweep, and is it shared with $(hostname)?" "no job.json"

# Slurm and others tell OpenMP where its threads go; normbench binds its own, one a core.
unset OMP_PROC_BIND OMP_PLACES GOMP_CPU_AFFINITY KMP_AFFINITY OMP_NUM_THREADS

# Slurm stops a job through this shell: the run is told, ends in order, and can be continued.
stopped=''
stop() {
    stopped=yes
    [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap stop TERM INT HUP
clean() { [ -z "$built" ] || rm -rf "$built"; }
trap clean EXIT

# follow COMMAND...: runs it so that signals reach it; its exit code.
follow() {
    "$@" &
    child=$!
    while :; do
        wait "$child"
        rc=$?
        kill -0 "$child" 2>/dev/null || break # else it was a signal to us that ended the wait
    done
    child=''
    return "$rc"
}

build() {
    cmake -S "$dir/source" -B "$built" -DCMAKE_BUILD_TYPE=Release -DNB_TESTS=OFF &&
        cmake --build "$built" -j "$(nproc)" --target normbench
}

if [ -L "$dir/source" ]; then
    built=$(mktemp -d "${TMPDIR:-/tmp}/normbench.XXXXXX") || die 1 "no temporary folder on $(hostname)" "no temporary folder"
    follow build >"$built/log" 2>&1 || {
        [ -z "$stopped" ] || die 130 "stopped while it was building" "interrupted while it was building"
        tail -n 20 "$built/log" >&2
        die 1 "the build failed on $(hostname); above is the end of what it said" "the build on the node failed"
    }
    program=$built/normbench
fi
"$program" --version >/dev/null ||
    die 127 "$program does not run on $(hostname); is it where all nodes see it, with their libraries? --build node compiles there" \
        "the program does not run on this node"
follow "$program" cluster task "$dir" ${node:+"$node"} ${try:+"$try"}
