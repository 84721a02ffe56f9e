#!/bin/bash
# mutants_test.sh: every kernel of mutants.c gets the verdict it deserves and no time; the run goes on.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

nb run --kernel '*_mutant' --hidden 100 --rows 40 --residency L2 --processes 2 --rounds 2 \
    --timeout 2s --out run --quiet
expect "exit 2, not $rc" [ "$rc" = 2 ]

verdict() { # the last word on a kernel
    jq -rs --arg k "rmsnorm_fwd_$1__f32_mutant" '[.[]|select(.kernel==$k)][-1].verdict' run/checks.jsonl
}
gets() {
    local is
    is=$(verdict "$1")
    expect "$1 gets $2, not $is" [ "$is" = "$2" ]
    expect "$1 has no time" [ "$(awk -F, -v k="rmsnorm_fwd_$1__f32_mutant" \
        'FNR==1{for(i=1;i<=NF;i++)c[$i]=i} $2==k{print $c["ns_per_row"]}' run/results.csv)" = null ]
}
gets last_element_skipped FAIL_VALUE
gets eps_dropped FAIL_VALUE
gets zeros FAIL_VALUE
gets writes_behind FAIL_OOB_WRITE
gets leaves_unwritten FAIL_UNWRITTEN
gets not_a_number FAIL_NONFINITE
gets random_bits FAIL_NONDETERMINISTIC
gets changes_input FAIL_OOB_WRITE
gets crashes CRASHED
gets hangs TIMED_OUT
gets crashes_late CRASHED
gets hangs_late TIMED_OUT
gets wrong_late MISTRUSTED
gets corrupts_late MISTRUSTED
gets overruns_late MISTRUSTED

expect "the right one passes" [ "$(verdict right)" = PASS ]
expect "and is timed" awk -F, 'FNR==1{for(i=1;i<=NF;i++)c[$i]=i}
    $2=="rmsnorm_fwd_right__f32_mutant" && $c["ns_per_row"]>0{found=1} END{exit !found}' run/results.csv
# who damages what all share is found, and nobody else is blamed, whatever the order in the table
expect "nobody right is mistrusted" [ "$(jq -r 'select(.verdict=="MISTRUSTED").kernel' run/checks.jsonl | sort -u |
    grep -cvE 'fwd_(wrong_late|corrupts_late|overruns_late)__')" = 0 ]
expect "damage done once costs a unit, which is done again" [ "$(verdict corrupts_once)" = PASS ]

# the same of the statistics that passes backward are given
nb run --dir bwd --kernel '*_mutant,rmsnorm_bwd_*__f32_scalar' --hidden 100 --rows 40 --residency L2 --processes 2 --rounds 2 \
    --out saved --quiet
expect "exit 2, not $rc" [ "$rc" = 2 ]
expect "who changes saved statistics, and nobody else: $(jq -r 'select(.verdict=="MISTRUSTED").kernel' saved/checks.jsonl | sort -u |
    tr '\n' ' ')" [ "$(jq -r 'select(.verdict!="PASS").kernel' saved/checks.jsonl | sort -u)" = rmsnorm_bwd_saved_late__f32_mutant ]

# a kernel alone in its cell and mistrusted: the run ends, and can be resumed
nb run --kernel '*_corrupts_late__*_mutant' --hidden 100 --rows 40 --residency L2 --processes 2 --rounds 2 \
    --out alone --quiet
expect "exit 2, not $rc" [ "$rc" = 2 ]
nb run --resume alone --quiet
expect "resumed: exit 2, not $rc" [ "$rc" = 2 ]

# outputs are verified at windows that were timed, not at the first one alone; under a sanitizer a sample is few
# calls, so there are many rounds, for it to be late
nb run --kernel '*_idle_elsewhere__*_mutant,*_right__*_mutant' --hidden 100 --rows 400 --residency cold \
    --processes 2 --rounds 20 --out windows --quiet
expect "exit 2, not $rc" [ "$rc" = 2 ]
expect "idle_elsewhere is mistrusted" grep -q 'idle_elsewhere__f32_mutant.*MISTRUSTED' windows/results.csv
expect "and has no time" awk -F, 'FNR==1{for(i=1;i<=NF;i++)c[$i]=i}
    $2~/idle/ && $c["ns_per_row"]!="null"{exit 1}' windows/results.csv
expect "the right one has" awk -F, 'FNR==1{for(i=1;i<=NF;i++)c[$i]=i}
    $2~/right/ && $c["ns_per_row"]>0{found=1} END{exit !found}' windows/results.csv

nb check --kernel '*_mutant' --hidden 100 --rows 40 --timeout 2s
expect "check exits 2, not $rc" [ "$rc" = 2 ]
finish
