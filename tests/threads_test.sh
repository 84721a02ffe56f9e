#!/bin/bash
# threads_test.sh: kernels on all cores: right, timed, and bound. Built with TSan it looks for races too.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

nb check --threads all --isa all --dtype f32,bf16 --hidden 100 --rows 70 --timeout 2m --json
expect "check exits 0, not $rc" [ "$rc" = 0 ]
expect "no race was reported" [ "$(grep -c 'WARNING: ThreadSanitizer' err)" = 0 ]
expect "something was checked" [ "$(jq -r 'select(.verdict=="PASS").kernel' out | wc -l)" -gt 20 ]
nb run --threads 1,all --kernels headline --dtype f32 --hidden 512 --residency L2 --processes 2 --rounds 2 \
    --timeout 2m --out run --quiet
expect "run exits 0, not $rc" [ "$rc" = 0 ]
expect "no race was reported" [ "$(grep -c 'WARNING: ThreadSanitizer' err)" = 0 ]
threads=$(jq '[.cells[].threads]|max' run/plan.json)
if [ "$threads" -gt 1 ]; then
    expect "a barrier among threads costs something" jq -es --arg t "-t$threads-" \
        '[.[]|select(.type=="done" and (.cell|contains($t))).barrier_ns]|all(. > 0)' run/samples.jsonl >jq.out
    expect "scaling is drawn" [ -s run/plots/scaling.svg ]
fi

# stacks of experiments, one a CPU; log_gain is of deepnorm alone
for claim in 'update_size > 0 where scheme=pre|deepnorm' 'gradient_last > 0 where scheme=pre|deepnorm' 'mean_square > 0 where scheme=pre' \
    'log_gain in [-9, 9] where scheme=deepnorm'; do
    nb claim "$claim and depth=6|12" --quick --quiet --out "claim-${claim%% *}"
    expect "$claim: exit 0, not $rc" [ "$rc" = 0 ]
    expect "$claim: no race was reported" [ "$(grep -c 'WARNING: ThreadSanitizer' err)" = 0 ]
done

# a team smaller than asked for is an error of the environment and no kernel's fault
if [ "$threads" -gt 1 ]; then
    head -c 4096 /dev/zero >page
    for cmd in check unit; do
        jq -c --arg cmd $cmd '(.cells | max_by(.threads)) as $c | {cmd:"hello",protocol:1,seed:1},
            {cmd:$cmd,cell:$c,kernels:$c.kernels,timeout_s:20,process:0,attempt:0,rounds:1,hashes:{}}' run/plan.json |
            OMP_THREAD_LIMIT=1 "$normbench" --worker 9 9<>page >said
        expect "$cmd: a team that is too small is an error" grep -q '"error".*threads were asked for and 1 started' said
        expect "$cmd: and no verdict on a kernel" [ "$(grep -c '"verdict"' said)" = 0 ]
    done
fi

# the mutants count their calls without a lock: with TSan that must be seen, or the above says nothing
if [ "${3:-}" = thread ] && [ "$threads" -gt 1 ]; then
    normbench=$(readlink -f "$2")
    nb check --kernel 'rmsnorm_fwd_right__f32_mutant' --threads all --hidden 100 --rows 70 --timeout 1m
    expect "a planted race is reported" grep -q 'WARNING: ThreadSanitizer: data race' err
fi
finish
