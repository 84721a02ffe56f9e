#!/bin/bash
# compare_planted_test.sh: two runs of this machine under two names overlap in every cell; a run with a slowed kernel differs in exactly its
# cells. $1: a program whose naive RMSNorm of scalar code takes three times as long with NB_SLOW=3.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
measure() {
    nb run --kernel 'layernorm_fwd_naive__f32_scalar,rmsnorm_fwd_naive__f32_scalar,layernorm_fwd_twopass__f32_scalar,rmsnorm_fwd_onepass__f32_scalar' \
        --hidden 256,1024 --residency L1,L2 --processes 8 --rounds 8 --out "$1" --quiet
    expect "$1 is measured: exit $rc" [ "$rc" = 0 ]
    jq --arg name "host of $1" '.host=$name | .cpu.model=$name' "$1/host.json" >edited && mv edited "$1/host.json"
}
measure one
measure two
NB_SLOW=3 measure slow

# Cells of a comparison that it states to be different, and those that hold the slowed kernel.
stated() { awk -F, 'NR>1 && $15 ~ /higher|lower/ {print $3, $15}' "$1/compare.csv" | sort; }
its_cells() { awk -F, 'NR>1 && $4==2 && $13=="rmsnorm_fwd_naive__f32_scalar" {print $3, "lower"}' "$1/compare.csv" | sort; }

nb compare one two --out same
cat out
expect "two runs of one machine: exit $rc" [ "$rc" = 0 ]
expect "12 statements are made" grep -q '^Against the first run, 12 statements' out
expect "their intervals overlap in every cell, not: $(stated same)" grep -qE 'higher 0, lower 0, intervals overlap 12, too few processes 0' out

nb compare one slow --out slowed
cat out
expect "it stands in 4 cells" [ "$(its_cells slowed | wc -l)" = 4 ]
expect "these differ and no other: $(diff <(stated slowed) <(its_cells slowed))" [ "$(stated slowed)" = "$(its_cells slowed)" ]
change=$(awk -F, 'NR>1 && $15=="lower" {print ($17 < 1/3 && 1/3 < $18)}' slowed/compare.csv | sort | uniq -c)
echo "intervals of the change that hold 1/3: $change"

nb compare one slow --quantity roof --out shares
stated_roof=$(awk -F, 'NR>1 && $15 ~ /higher|lower/ {print $13}' shares/compare.csv | sort | uniq -c)
expect "its share of the roof is lower in all of its cells: $stated_roof" grep -q '4 rmsnorm_fwd_naive__f32_scalar' <<<"$stated_roof"
expect "and that of no other kernel: $stated_roof" [ "$(wc -l <<<"$stated_roof")" = 1 ]
finish
