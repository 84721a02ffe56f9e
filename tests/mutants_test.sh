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

expect "the right one passes" [ "$(verdict right)" = PASS ]
expect "and is timed" awk -F, 'FNR==1{for(i=1;i<=NF;i++)c[$i]=i}
    $2=="rmsnorm_fwd_right__f32_mutant" && $c["ns_per_row"]>0{found=1} END{exit !found}' run/results.csv
nb check --kernel '*_mutant' --hidden 100 --rows 40 --timeout 2s
expect "check exits 2, not $rc" [ "$rc" = 2 ]
finish
