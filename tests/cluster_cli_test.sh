#!/bin/bash
# cluster_cli_test.sh: `normbench cluster` without a Slurm: programs of its names that write down what they are
# asked. cluster_hand_test.sh has sweeps by hand, slurm_test.sh has the real ones. $2: the source tree.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
job=$2/scripts/slurm/node-job.sh
mkdir bin none shared

# ---- a Slurm that does as it is told ----

# sinfo: says what is in sinfo.nodes, sinfo.partitions. sbatch: keeps its arguments, one a line, in sbatch.N; refuses with the
# words in refuse.N, is interrupted at the number in interrupt; with a node's name in block.N what becomes of that cannot be written down. scontrol: keeps what it is asked, a line
# each; refuses for a node with the words in refuse.NODE; is interrupted at that in interrupt. squeue and sacct: say what is in their files, or fail where there is none.
cat >bin/sinfo <<'END'
#!/bin/sh
case " $* " in
*" --Node "*) case " $* " in *" --partition=test "*) cat sinfo.nodes ; esac ;;
*) cat sinfo.partitions ;;
esac
END
cat >bin/sbatch <<'END'
#!/bin/sh
n=$(($(cat count 2>/dev/null || echo 0) + 1))
echo $n >count
printf '%s\n' "$@" >sbatch.$n
[ "$n" != "$(cat interrupt 2>/dev/null)" ] || kill -INT $$
if [ -e refuse.$n ]; then cat refuse.$n >&2; exit 1; fi
if [ -e block.$n ]; then while [ $# -gt 3 ]; do shift; done; mkdir "$1/nodes/$(cat block.$n)/.submitted-1.json.part"; fi
echo $n
END
cat >bin/scontrol <<'END'
#!/bin/sh
if [ "$1" = show ]; then cat config; exit; fi
echo "$*" >>scontrol.asked
node=$(printf '%s\n' "$@" | sed -n 's/^ReqNodeList=//p')
[ "$node" != "$(cat interrupt 2>/dev/null)" ] || [ -z "$node" ] || kill -INT $$
if [ -e "refuse.${node:-$1}" ]; then cat "refuse.${node:-$1}" >&2; exit 1; fi
END
cat >bin/scancel <<'END'
#!/bin/sh
echo "$@" >>scancelled
[ ! -e refuse.scancel ]
END
cat >bin/squeue <<'END'
#!/bin/sh
cat squeue.out 2>/dev/null || { echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; }
END
cat >bin/sacct <<'END'
#!/bin/sh
printf '%s\n' "$@" >sacct.args
cat sacct.out 2>/dev/null || { echo "Slurm accounting storage is disabled" >&2; exit 1; }
END
chmod +x bin/*
PATH=$work/bin:$PATH
printf 'test\nspare\n' >sinfo.partitions
printf 'MaxArraySize            = 1001\nMaxDBDMsgs              = 20\n' >config
node() { printf '%s\037%s\0378\0371\0378\0371\03764000\037%s\n' "$@"; }
job_says() { printf '%s\037%s\037%s\n' "$@"; }
forget() { rm -rf count scancelled scontrol.asked interrupt block.* sbatch.* refuse.* squeue.out sacct.* shared/*; }
asked() { ls sbatch.* 2>/dev/null | wc -l; }

# submit ARGS...: sets dir
submit() {
    nb cluster submit --partition test --dir shared "$@"
    dir=$(sed -n 's/^in //p' out)
}
begins() { case $1 in "$2"*) ;; *) return 1 ;; esac; }
state() { jq -r ".nodes[] | select(.node == \"$1\") | .state + \": \" + (.why // \"\")" out; }
# is NODE WORDS: in a status, its state and why begin so
is() { expect "$1 is $2, not $(state "$1")" begins "$(state "$1")" "$2"; }

# ---- words ----

nb cluster
expect "without a word: exit 1, not $rc" [ "$rc" = 1 ]
nb cluster --help
expect "--help: exit 0, not $rc" [ "$rc" = 0 ]
for word in submit status resubmit merge; do expect "help has $word" grep -q "normbench cluster $word" out; done
fails 1 'known: submit, status, resubmit, merge' cluster frobnicate
nb cluster submit --help
expect "submit --help: exit 0, not $rc" [ "$rc" = 0 ]
for word in partition nodes-per-type all-nodes constraint time account qos reservation sbatch dir build source names by-hand \
    dry-run; do
    expect "submit --help has --$word" grep -q -- "--$word" out
done
nb --help
expect "the program's help has it" grep -q '^  cluster submit' out
for word in status resubmit merge task; do
    fails 1 'usage: normbench cluster' cluster $word
    fails 1 'no job.json in it' cluster $word "$work/shared"
    fails 1 'No such file' cluster $word "$work/nowhere"
done
fails 1 '--partition is missing' cluster submit --dir shared
fails 1 'nodes-per-type' cluster submit --partition test --nodes-per-type 0
fails 1 'exclude each other' cluster submit --partition test --all-nodes --nodes-per-type 2
fails 1 'neither shared nor node' cluster submit --partition test --build here
fails 1 'none of cpu, host and folder' cluster submit --partition test --names mine
fails 1 'begins with --' cluster submit --partition test --sbatch -Aproject
fails 1 "unrecognized option '--hiden'" cluster submit --partition test --hiden 64
fails 1 'hidden' cluster submit --partition test --hidden 64x
fails 1 'no-such-preset' cluster submit --partition test --preset no-such-preset
fails 1 'folder of its own' cluster submit --partition test --out here
fails 1 'folder of its own' cluster submit --partition test --resum here
fails 1 'unexpected word' cluster submit --partition test hidden 64
expect "nothing was asked of sbatch" [ "$(asked)" = 0 ]
expect "nothing was written" [ -z "$(ls shared)" ]

# ---- which nodes ----

PATH=$work/none "$normbench" cluster submit --partition test >out 2>err
expect "without Slurm: exit 1" [ $? = 1 ]
expect "it says what is missing" grep -q "cannot start sinfo" err
expect "it says what else could be done" grep -q -- --by-hand err
{
    node a1 allocated avx2
    node a2 idle avx2
    node a3 'down*' avx2
    node b1 idle avx512,ib
} >sinfo.nodes
fails 1 'known: test,spare' cluster submit --partition nowhere --dir shared
fails 1 'no node of test has that' cluster submit --partition test --dir shared --constraint gpu
fails 1 '--dir' cluster submit --partition test --dir shared/none
touch file
fails 1 'Not a directory' cluster submit --partition test --dir file
submit --dry-run
expect "dry run: exit 0, not $rc" [ "$rc" = 0 ]
expect "it shows the types" grep -q '8 CPUs (1 x 8 x 1), 63 GiB, avx2: 3 nodes, 2 can be had; chosen: a2$' out
expect "and every sbatch" [ "$(grep -c '^  sbatch ' out)" = 2 ]
expect "and what each is told" [ "$(sed -n 's/^  scontrol update JobId=\(ARRAY_[0-9]*\) ReqNodeList=\([^ ]*\) .*/\1 \2/p' out | paste -sd,)" = \
    "ARRAY_0 a2,ARRAY_1 b1" ]
expect "of which none happened" [ "$(asked)" = 0 ]
expect "nothing was written" [ -z "$(ls shared)" ]
submit --dry-run --all-nodes
expect "all that can be had" [ "$(grep -c -- ' ReqNodeList=' out)" = 3 ]
submit --dry-run --constraint avx512
expect "only those with the feature" [ "$(grep -o -- 'ReqNodeList=[^ ]*' out)" = ReqNodeList=b1 ]
(printf 'n1\037idle\n') >sinfo.nodes
fails 1 'line 1 of sinfo' cluster submit --partition test --dir shared
# shellcheck disable=SC2016 # it is the point
for name in '../../x' '-n' '$(touch pwned)' 'a;touch pwned' 'a b' $'a\033[2J'; do
    node "$name" idle x >sinfo.nodes
    fails 1 'host name' cluster submit --partition test --dir shared
    expect "no escape reaches the terminal" [ "$(grep -c $'\033' err)" = 0 ]
done
expect "nothing of it was run" [ ! -e pwned ]

# ---- what is submitted ----

# shellcheck disable=SC2016
{
    node a2 idle $'<script>$(touch pwned)`touch pwned`\033[31m'
    node b1 idle 'avx512,ib'
} >sinfo.nodes
# shellcheck disable=SC2016
hostile='--comment=$(touch pwned) `touch pwned` "x'\'' ; %'
submit --time 30:00 --account me --constraint 'avx512|<script>$(touch' --sbatch "$hostile" --dry-run
expect "a constraint that Slurm would read otherwise is an error" [ "$rc" = 1 ]
submit --time 30:00 --account me --sbatch "$hostile" --kernel '*a b$(touch pwned)*' --hidden 64 -- --timeout 30s
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "no escape reaches the terminal" [ "$(grep -c $'\033' out)" = 0 ]
expect "an array and a merge" [ "$(asked)" = 2 ]
name=$(basename "$dir") path=$(readlink -f "$dir")
for word in "$hostile" --partition=test --account=me --time=30:00 --parsable --nodes=1 --ntasks=1 --hold --array=0-1 --exclusive --mem=0 \
    --no-requeue --job-name="$name" --signal=B:TERM@60 "$job"; do
    expect "the array is told $word" grep -qxF -- "$word" sbatch.1
done
expect "the script is told folder and list" [ "$(tail -3 sbatch.1 | tr '\n' ' ')" = "$path --array tasks-1.txt " ]
expect "which has node and try of each task" [ "$(paste -sd, "$dir/tasks-1.txt")" = "a2 1,b1 1" ]
expect "each task is bound to its node, then they may begin" [ "$(cat scontrol.asked)" = \
    "update JobId=1_0 ReqNodeList=a2 StdOut=$path/nodes/a2/slurm-1.txt
update JobId=1_1 ReqNodeList=b1 StdOut=$path/nodes/b1/slurm-1.txt
release 1_0,1_1" ]
expect "the merge waits for both, however they end" grep -qx -- --dependency=afterany:1 sbatch.2
for word in --time=30:00 --exclusive --array --hold; do expect "and is not told $word" [ "$(grep -c -- "$word" sbatch.2)" = 0 ]; done
expect "options of the run are handed on as they are" [ "$(jq -r '.run[]' "$dir/job.json" | tr '\n' '|')" = \
    '--kernel|*a b$(touch pwned)*|--hidden|64|--timeout|30s|' ]
expect "nothing of it was run" [ ! -e pwned ]
expect "jobs are remembered" [ "$(jq -r .job "$dir/nodes/b1/submitted-1.json" "$dir/merge.json" | tr '\n' ' ')" = "1_1 2 " ]
expect "the program is linked" [ "$(readlink -f "$dir/normbench")" = "$normbench" ]
forget

# ---- sbatch refuses ----

{
    node a idle x
    node b idle y
    node c idle z
} >sinfo.nodes
printf 'sbatch: error: Invalid account \033[31m\n' >refuse.1
fails 1 'Invalid account' cluster submit --partition test --dir shared
expect "no escape reaches the terminal" [ "$(grep -c $'\033' err)" = 0 ]
expect "nothing stays" [ -z "$(ls shared)" ]
expect "the others are not tried" [ "$(asked)" = 1 ]
forget
echo 'Requested node configuration is not available' >refuse.b
submit
expect "one of three refused: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says which and why" grep -q 'b: scontrol refuses.*not available; job 1_1 was taken back' err
expect "its task is taken back, and no other" [ "$(cat scancelled)" = 1_1 ]
expect "the others begin, and it does not" [ "$(tail -1 scontrol.asked)" = 'release 1_0,1_2' ]
expect "the merge waits for them" grep -qx -- --dependency=afterany:1 sbatch.2
{ job_says 1_0 RUNNING None; job_says 1_2 PENDING Resources; job_says 2 PENDING Dependency; } >squeue.out
nb cluster status "$dir" --json
expect "status: exit 4, not $rc" [ "$rc" = 4 ]
is a running
is b 'not submitted'
is c 'pending: Slurm: PENDING, Resources'
rm refuse.b
nb cluster resubmit "$dir"
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "b alone is submitted" [ "$(cat "$dir/tasks-2.txt")" = 'b 1' ]
expect "in an array of one" grep -qx -- --array=0-0 sbatch.3
expect "the merge waits for it and for those under way" grep -qx -- --dependency=afterany:3:1_0:1_2 sbatch.4
forget
echo 'sbatch: error: no more' >refuse.2
submit
expect "the merge refused: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says what to do" grep -q 'but not the merge.*normbench cluster merge' err
forget
for node in a b c; do echo 'Invalid node name specified' >refuse.$node; done
fails 1 'Invalid node name' cluster submit --partition test --dir shared
expect "where none can be bound nothing stays" [ -z "$(ls shared)" ]
expect "nor in Slurm" [ "$(paste -sd, scancelled)" = 1_0,1_1,1_2 ]
expect "and nothing is released" [ "$(grep -c release scontrol.asked)" = 0 ]
forget
echo 'Access denied' >refuse.release
submit
expect "not released: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says what to do" grep -q 'scontrol release 1_0,1_1,1_2 lets them begin' err
{ job_says 1_0 PENDING JobHeldUser; job_says 1_1 PENDING JobHeldUser; job_says 1_2 RUNNING None; } >squeue.out
nb cluster status "$dir" --json
is a 'pending: Slurm: PENDING, JobHeldUser: scontrol release 1_0 lets it begin'
expect "the merge waits all the same" grep -qx -- --dependency=afterany:1 sbatch.2
forget
echo 'Access denied' >refuse.release
echo 'Invalid node name specified' >refuse.b
submit
expect "two refusals: both are told" [ "$(grep -c -e 'b: scontrol refuses' -e 'scontrol release 1_0,1_2 lets them begin' err)" = 2 ]
forget
echo 'Socket timed out' >refuse.b
touch refuse.scancel
submit
expect "what cannot be taken back is told" grep -q 'job 1_1 could not be taken back.*scancel 1_1' err
expect "and is not released without a node" [ "$(tail -1 scontrol.asked)" = 'release 1_0,1_2' ]
forget
# while the second node is bound; while the merge, the second sbatch, is submitted
for at in b 2; do
    echo $at >interrupt
    nb cluster submit --partition test --dir shared
    expect "interrupted at $at: exit 130, not $rc" [ "$rc" = 130 ]
    expect "the array is taken back" [ "$(cat scancelled)" = 1 ]
    expect "nothing stays" [ -z "$(ls shared)" ]
    expect "nothing is released" [ "$(grep -c release scontrol.asked)" = 0 ]
    forget
done
echo b >block.1
submit
expect "one that cannot be written down: exit 1, not $rc" [ "$rc" = 1 ]
expect "it says so" grep -q 'job 1_1 was taken back' err
expect "it is taken back, and no other" [ "$(cat scancelled)" = 1_1 ]
forget
echo 'MaxArraySize            = 2' >config
submit
expect "three nodes where an array may have two tasks: $rc" [ "$rc" = 0 ]
expect "two arrays" [ "$(grep -hx -- '--array=.*' sbatch.1 sbatch.2 | paste -sd,)" = --array=0-1,--array=0-0 ]
expect "each with its list" [ "$(paste -sd, "$dir/tasks-1.txt") $(cat "$dir/tasks-2.txt")" = 'a 1,b 1 c 1' ]
expect "one merge behind both" grep -qx -- --dependency=afterany:1:2 sbatch.3
nb cluster submit --partition test --dir shared --dry-run
expect "and so in a dry run" [ "$(grep -o 'tasks-[0-9]*.txt' out | paste -sd,)" = tasks-1.txt,tasks-2.txt ]
printf 'nothing of that\n' >config
forget
printf '17;elsewhere\n' >said
sed -i 's/^echo \$n$/cat said/' bin/sbatch
fails 1 'sbatch gave job 17 to another cluster, elsewhere' cluster submit --partition test --dir shared
sed -i 's/^cat said$/echo $n/' bin/sbatch
forget
printf 'Submitted batch job 17\n' >said
sed -i 's/^echo \$n$/cat said/' bin/sbatch
fails 1 'where the number of the job should be' cluster submit --partition test --dir shared
sed -i 's/^cat said$/echo $n/' bin/sbatch

# ---- what became of it ----

forget
submit
task() { echo "$dir/nodes/$1"; }
rm -f squeue.out
nb cluster status "$dir" --json
is a 'pending: it has not begun'
expect "it tells that Slurm did not answer" [ "$(jq .slurm out)" = false ]
echo '{"schema":1,"job":"1_0","host":"h"}' >"$(task a)/begun-1.json"
nb cluster status "$dir" --json
is a 'running: last sign '
touch -d '1 hour ago' "$(task a)/begun-1.json"
nb cluster status "$dir" --json
is a 'lost: nothing was written for '
{ job_says 1_0 RUNNING None; job_says 1_1 NODE_FAIL NodeDown; } >squeue.out
nb cluster status "$dir" --json
is a 'running: Slurm: RUNNING'
is b 'lost: Slurm: NODE_FAIL'
is c 'lost: Slurm does not know its job'
job_says 1_2 'CANCELLED by 1000' 0:0 >sacct.out
nb cluster status "$dir" --json
expect "sacct is asked for what squeue has forgotten alone" grep -qx -- --jobs=1_2 sacct.args
is c 'failed: Slurm: CANCELLED by 1000'
echo '{"schema":1,"exit":0,"signal":null,"reason":""}' >"$(task a)/ended-1.json"
printf '{"schema":1,"exit":1,"signal":null,"reason":"<b>|`x`\\u001b[31m\\u202e=cmd()\\nnext"}' >"$(task b)/ended-1.json"
nb cluster status "$dir" --json
is a 'done: '
is b 'failed: exit 1: <b>'
nb cluster status "$dir"
expect "no escape reaches the terminal" [ "$(grep -cE $'\033|\u202e' out)" = 0 ]
expect "one line a node" [ "$(grep -cE '^  [abc] ' out)" = 3 ]
fails 1 'nothing to merge' cluster merge "$dir"
nb cluster resubmit "$dir" --dry-run
expect "what failed, and nothing else" [ "$(grep -o -- 'ReqNodeList=[^ ]*' out | tr '\n' ' ')" = 'ReqNodeList=b ReqNodeList=c ' ]
before=$(asked)
expect "a dry run submits nothing" [ "$before" = 2 ]
expect "and writes nothing" [ ! -e "$dir/tasks-2.txt" ]
rm squeue.out
fails 1 'which tasks still run is not known' cluster resubmit "$dir"
touch squeue.out
nb cluster resubmit "$dir"
expect "it is their second try" [ "$(paste -sd, "$dir/tasks-2.txt")" = 'b 2,c 2' ]
expect "remembered" [ "$(jq -r .job "$(task b)/submitted-2.json")" = 3_0 ]

# files that are no files of ours
rm -f squeue.out
for broken in '{"schema":1,"exit":' '[]' '{"schema":"x"}' '{"schema":1,"schema":1}' '' $'\377'; do
    printf '%s' "$broken" >"$(task b)/ended-2.json"
    nb cluster status "$dir" --json
    is b 'lost: '
    is a 'done: '
    is c pending
done
echo '{"schema":9,"exit":0}' >"$(task b)/ended-2.json"
nb cluster status "$dir" --json
is b "lost: $(readlink -f "$(task b)")/ended-2.json has schema 9"
for number in 1e308 -1 99999999999999999999 '"0"' null; do
    echo "{\"schema\":1,\"exit\":$number}" >"$(task b)/ended-2.json"
    nb cluster status "$dir" --json
    expect "exit $number is not done: $(state b)" [ "$(state b | cut -d: -f1)" != done ]
done
mkdir "$dir/nodes/-x" "$dir/nodes/a b"
nb cluster status "$dir"
expect "folders that no node can have are told" grep -q 'left out: 2 folders' out
cp -r "$dir" shared/newer
jq '.schema = 2' "$dir/job.json" >shared/newer/job.json
for word in status merge task resubmit; do fails 1 'use a newer normbench' cluster $word shared/newer; done
jq '.name = "../x"' "$dir/job.json" >shared/newer/job.json
fails 1 'no "name" that a job may have' cluster status shared/newer
jq '.run = [1]' "$dir/job.json" >shared/newer/job.json
fails 1 'holds something that is no text' cluster task shared/newer a

finish
