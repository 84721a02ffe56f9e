#!/bin/bash
# slurm_test.sh: `normbench cluster` with a real Slurm: slurmctld and two slurmd of this test's own on the loopback.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

for program in slurmctld slurmd sbatch squeue sinfo scancel scontrol; do
    command -v $program >/dev/null || { echo "skipped: no $program (Debian: slurm-wlm)"; exit 77; }
done
plugins=$(find /usr/lib /usr/lib64 -name auth_none.so 2>/dev/null | head -1)
[ -n "$plugins" ] || { echo "skipped: Slurm has no auth/none here (Debian: slurm-wlm-basic-plugins)"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: slurmd starts jobs as root alone"; exit 77; }
getent hosts "$(hostname)" >/dev/null || { echo "skipped: the host name does not resolve, which Slurm needs"; exit 77; }

# ---- a Slurm of our own ----

export SLURM_CONF=$work/slurm.conf
declare -A daemon=() # name: pid

# has PID VARIABLE=VALUE: whether a process was started with that in its environment.
has() { grep -qzxF "$2" "/proc/$1/environ" 2>/dev/null; }

# All that was started with our configuration, also by the daemons.
ours() {
    local p
    for p in /proc/[0-9]*; do
        has "${p#/proc/}" "SLURM_CONF=$SLURM_CONF" && echo "${p#/proc/}"
    done
}
end_slurm() {
    local pids
    [ -z "${daemon[ctld]:-}" ] || timeout 5 scancel --me 2>/dev/null
    [ ${#daemon[@]} = 0 ] || kill "${daemon[@]}" 2>/dev/null
    for _ in $(seq 30); do
        pids=$(ours)
        [ -n "$pids" ] || return 0
        sleep 0.1
    done
    # shellcheck disable=SC2086 # a list
    kill -9 $pids 2>/dev/null
}
trap 'end_slurm >/dev/null 2>&1; cd /; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

free_ports() { # N: the first of N ports in a row on which nobody listens
    local base p
    while :; do
        base=$((20000 + RANDOM % 12000))
        for ((p = base; p < base + $1; p++)); do
            ! (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null || continue 2
        done
        echo $base
        return
    done
}

configure() {
    local host port cpus
    host=$(hostname) port=$(free_ports 4) cpus=$(nproc)
    mkdir -p state spool-n1 spool-n2
    cat >slurm.conf <<END
ClusterName=normbench$$
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$port
SlurmdPort=$((port + 1))
AuthType=auth/none
CredType=cred/none
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/pgid
TaskPlugin=task/affinity
TaskProlog=$work/prolog
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
CommunicationParameters=NoAddrCache,NoCtldInAddrAny,NoInAddrAny
EnforcePartLimits=ALL
ReturnToService=2
MailProg=/bin/true
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
SlurmctldPidFile=$work/ctld.pid
SlurmdPidFile=$work/%n.pid
SlurmctldLogFile=$work/ctld.log
SlurmdLogFile=$work/%n.log
SlurmdTimeout=4
KillWait=2
MessageTimeout=5
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=$cpus Feature=fast
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 3)) CPUs=$cpus Feature=slow,old
PartitionName=test Nodes=ALL Default=YES MaxTime=60 State=UP
PartitionName=spare Nodes=n1 MaxTime=10 State=UP
END
    printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >cgroup.conf
    # Both nodes are this machine. Runs of normbench keep off each other's cores: to these each node is its own. And runs of
    # one machine are told apart by when they began.
    mkdir -p locks-n1 locks-n2
    cat >prolog <<END
#!/bin/sh
echo "export NB_LOCK_DIR=$work/locks-\$SLURMD_NODENAME"
[ \$SLURMD_NODENAME = n1 ] || sleep 1.1
cat "$work/prolog-\$SLURMD_NODENAME" 2>/dev/null
exit 0
END
    chmod +x prolog
}

start_ctld() { slurmctld -D -i >ctld.out 2>&1 & daemon[ctld]=$!; }
start_node() { slurmd -D -N "$1" >"$1.out" 2>&1 & daemon[$1]=$!; }
is_up() { [ "$(timeout 5 sinfo -h -N -p test -o %T 2>/dev/null | grep -c '^idle$')" = 2 ]; }

# within SECONDS COMMAND...: until it succeeds
within() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.1
    done
}

configure
start_ctld
start_node n1
start_node n2
if ! within 20 is_up; then
    tail -n 20 ctld.out ctld.log n1.out n2.out >&2
    echo "FAILED: Slurm did not come up" >&2
    exit 1
fi

# ---- helpers ----

folder='shared 100%N' # what Slurm would make a pattern of
mkdir "$folder"
plan=(--kernels headline --dtype f32 --hidden 64 --residency L2 --processes 6 --rounds 2)
long_plan=(--kernels headline --dtype f32 --hidden 64,65,66 --residency L2 --processes 6 --rounds 6)

# submit ARGS...: sets dir
submit() {
    nb cluster submit --partition test --dir "$folder" "$@"
    dir=$(sed -n 's/^in //p' out)
}
state() { nb cluster status "$dir" --json; jq -r ".nodes[] | select(.node == \"$1\") | .state" out; }
is_state() { [ "$(state "$1")" = "$2" ]; }
why() { nb cluster status "$dir" --json; jq -r ".nodes[] | select(.node == \"$1\") | .why" out; }
merge_id() { jq -r .job "$dir/merge.json"; }
job_is() { squeue -h --states=all -j "$1" -o %T | grep -qxE "$2"; }
merge_ended() { job_is "$(merge_id)" 'COMPLETED|FAILED'; }
units() { cat "$dir/nodes/$1"/run-*/samples.jsonl 2>/dev/null | grep -c '"done"'; }
some_units() { [ "$(units "$1")" -ge "$2" ]; }
knows() { "$normbench" --help | grep -q "^  $1 "; }
# merged N: that many of two nodes are in what was merged
merged() {
    expect "$1 of 2 nodes are merged" grep -q "^$1 of 2 nodes are merged here" "$dir/merged/merge.md"
    if knows db; then
        expect "and their database is whole" grep -qxF -- "- database: [normbench.sqlite](normbench.sqlite)" "$dir/merged/merge.md"
    fi
    expect "the page or why not" grep -qE '^- page: (\[page.html\]|not made: .)' "$dir/merged/merge.md"
}

# ---- two nodes, one comparison ----

fails 1 'known: test,spare' cluster submit --partition nowhere --dir "$folder"
fails 1 'no node of test has that' cluster submit --partition test --constraint gpu --dir "$folder"
fails 1 'reservation is invalid' cluster submit --partition test --dir "$folder" --reservation none "${plan[@]}"
expect "Slurm's own words are shown" grep -q 'sbatch refuses with exit code 1: sbatch: error: ' err
fails 1 'time limit' cluster submit --partition test --dir "$folder" --time 5:00:00 "${plan[@]}"
expect "of a sweep that was refused nothing stays" [ -z "$(ls "$folder")" ]

submit "${plan[@]}"
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "two types" grep -q '^2 types of nodes:' out
expect "its folder" [ -s "$dir/job.json" ]
expect "one array of two tasks" [ "$(jq -r .job "$dir"/nodes/n[12]/submitted-1.json | sed 's/^[0-9]*//' | paste -sd,)" = _0,_1 ]
expect "of one number" [ "$(jq -r .job "$dir"/nodes/n[12]/submitted-1.json | cut -d_ -f1 | sort -u | wc -l)" = 1 ]
for node in n1 n2; do
    expect "$node ends well" within 200 is_state $node done
    expect "its words are where they belong" [ -e "$dir/nodes/$node/slurm-1.txt" ]
    id=$(jq -r .job "$dir/nodes/$node/submitted-1.json")
    expect "Slurm ran job $id on $node" [ "$(squeue -h --states=all -j "$id" -o %N)" = $node ]
    scontrol show job "$id" -o >job.txt
    expect "with all of its CPUs, though one is asked for: Slurm binds tasks here" \
        [ "$(jq .topology.cpus "$dir/nodes/$node/run-1/host.json")" = "$(nproc)" ]
    expect "exclusive" grep -q 'OverSubscribe=NO' job.txt
    expect "a whole run of $node" [ -s "$dir/nodes/$node/run-1/report.md" ]
done
expect "the merge ends" within 90 merge_ended
merged 2
if knows report; then
    expect "one page of both" [ -s "$dir/merged/page.html" ]
fi
if knows compare; then
    expect "one comparison of two machines" [ -s "$dir/merged/compare/compare.md" ]
    expect "linked" grep -q '\](compare/compare.md)' "$dir/merged/merge.md"
else
    expect "no comparison, and why" grep -q "^- comparison: not made: " "$dir/merged/merge.md"
fi
nb cluster status "$dir"
expect "status exits 0 when all is done, not $rc" [ "$rc" = 0 ]
expect "it says so" grep -q '2 nodes: 2 done' out
nb cluster resubmit "$dir"
expect "nothing to submit again: $rc" [ "$rc" = 0 ]
expect "it says so" grep -q 'nothing to submit again' out
whole=$dir

# ---- a task that fails, and its like ----

# exit 1 on n2: its presets are nowhere
echo 'export NB_PRESETS_DIR=/nonexistent' >prolog-n2
submit --preset quick --kernels headline --hidden 64 --residency L1 --dtype f32 --processes 2 --rounds 2
expect "n1 ends well" within 200 is_state n1 done
expect "n2 fails" within 200 is_state n2 failed
expect "with its exit code and words: $(why n2)" grep -q '^exit 1: normbench: .*preset' <<<"$(why n2)"
expect "the merge ends all the same" within 90 merge_ended
merged 1
expect "n2 is named there" grep -qE '^\| n2 \| no \| .* \| failed \| exit 1' "$dir/merged/merge.md"
expect "and the job of the merge has failed, for one is missing or a file was not made" job_is "$(merge_id)" FAILED
nb cluster status "$dir"
expect "status exits 4, not $rc" [ "$rc" = 4 ]
rm prolog-n2
begun=$(cat "$dir/nodes/n1/begun-1.json")
nb cluster resubmit "$dir"
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "n2 alone is submitted again" [ "$(grep '^again: ' out | cut -d, -f1)" = "again: n2" ]
expect "n2 ends well" within 200 is_state n2 done
expect "as its second try" [ -s "$dir/nodes/n2/ended-2.json" ]
expect "n1 had one" [ ! -e "$dir/nodes/n1/submitted-2.json" ]
expect "and is as it was" [ "$begun" = "$(cat "$dir/nodes/n1/begun-1.json")" ]
expect "the second merge ends" within 90 merge_ended
expect "in a folder of its own" [ "$(readlink "$dir/merged")" = merge-2 ]
merged 2

# a node that cannot be bound: its task is taken back, the other one measures
mkdir bin
cat >bin/scontrol <<END
#!/bin/sh
case " \$* " in *" ReqNodeList=n2 "*) echo "Socket timed out" >&2; exit 1 ;; esac
exec $(command -v scontrol) "\$@"
END
chmod +x bin/scontrol
PATH=$work/bin:$PATH submit "${plan[@]}"
expect "exit 1, not $rc" [ "$rc" = 1 ]
expect "it says which, and that no other one waits" [ "$(cat err)" = "normbench: n2: scontrol refuses with exit code 1: Socket timed out; job $(
    jq -r .job "$dir/nodes/n1/submitted-1.json" | sed 's/_0$/_1/') was taken back" ]
expect "n1 ends well" within 200 is_state n1 done
expect "the merge ends" within 90 merge_ended
merged 1
nb cluster resubmit "$dir"
expect "n2 alone is submitted again: $(grep '^again: ' out)" [ "$(grep '^again: ' out | cut -d, -f1)" = "again: n2" ]
expect "n2 ends well" within 200 is_state n2 done
expect "the second merge ends" within 90 merge_ended
merged 2

# kill -9: of the measuring program, then of the whole step; then the node vanishes
run_of() { # NODE: the pid of its `normbench run`
    local p
    for p in $(ours); do
        grep -qzx run "/proc/$p/cmdline" 2>/dev/null && grep -qzF "$dir/nodes/$1/run-" "/proc/$p/cmdline" && echo "$p"
    done
}
step_of() { # NODE: all processes of its job, the shell first
    local p
    for p in $(ours); do
        has "$p" "SLURMD_NODENAME=$1" && echo "$p"
    done
}
stepd_of() { # NODE: the daemon of Slurm that looks after its job
    local p parent
    for p in $(step_of "$1"); do
        parent=$(awk '{print $4}' "/proc/$p/stat" 2>/dev/null)
        [ "$(cat "/proc/$parent/comm" 2>/dev/null)" = slurmstepd ] && echo "$parent"
    done
}
kill_at_once() { # PIDS: none shall see another end
    kill -STOP "$@" 2>/dev/null
    kill -9 "$@" 2>/dev/null
}
submit "${long_plan[@]}"
expect "n1 measures" within 200 some_units n1 2
expect "n2 measures" within 200 some_units n2 2
expect "both run" is_state n1 running
kill -9 "$(run_of n1)"
expect "n1 fails" within 60 is_state n1 failed
expect "by that signal: $(why n1)" grep -q '^killed by signal 9' <<<"$(why n1)"
# shellcheck disable=SC2046 # lists
kill_at_once $(step_of n2)
expect "n2 fails" within 60 is_state n2 failed
expect "without a word of its own: $(why n2)" grep -q '^Slurm: FAILED.*its end was not written' <<<"$(why n2)"
expect "nothing of it lives on" [ -z "$(step_of n2)" ]
expect "the merge ends" within 90 merge_ended
expect "having nothing to merge" grep -q 'nothing to merge' "$dir"/slurm-merge-*.txt
expect "and makes no folder" [ ! -e "$dir/merged" ]
before=$(units n1) before_n2=$(units n2)
nb cluster resubmit "$dir"
expect "both again: $rc" [ "$(grep -c '^again: ' out)" = 2 ]
expect "n2 goes on" within 200 some_units n2 $((before_n2 + 2))
# shellcheck disable=SC2046
kill_at_once "${daemon[n2]}" $(stepd_of n2) $(step_of n2)
expect "n1 ends well all the same" within 200 is_state n1 done
expect "nothing of it was measured again: $before units, $(units n1)" [ "$(jq -r 'select(.type=="done")|"\(.process) \(.cell)"' \
    "$dir/nodes/n1/run-1/samples.jsonl" | sort | uniq -d)" = "" ]
expect "it was continued" [ "$(jq .resumed "$dir/nodes/n1/begun-2.json")" = true ]
expect "n2 is lost" within 200 is_state n2 lost
expect "for its node failed: $(why n2)" grep -q 'NODE_FAIL' <<<"$(why n2)"
expect "the merge ends" within 90 merge_ended
merged 1
expect "the part of n2 is named" grep -qE '^\| n2 \| no \| .*run-1 is kept: a part of a run' "$dir/merged/merge.md"
start_node n2
expect "the node comes back" within 30 is_up
nb cluster resubmit "$dir"
expect "n2 alone: $rc" [ "$(grep '^again: ' out | cut -d, -f1)" = "again: n2" ]
expect "n2 ends well" within 200 is_state n2 done
expect "in the run that was begun first" [ ! -e "$dir/nodes/n2/run-3" ]
expect "the last merge ends" within 90 merge_ended
merged 2

# without Slurm the files alone say what was
kill "${daemon[ctld]}"
wait "${daemon[ctld]}" 2>/dev/null
unset 'daemon[ctld]'
nb cluster status "$whole"
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "it says so" grep -q 'without Slurm, from the files alone' out
expect "both done" grep -q '2 nodes: 2 done' out
fails 1 'squeue' cluster resubmit "$dir"

end_slurm
expect "nothing is left running" [ -z "$(ours)" ]
finish
