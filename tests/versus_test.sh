#!/bin/bash
# versus_test.sh: speedups of any norm over any other, of partial RMSNorm with several prefixes, in a run and resumed.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

field() { # FILE NAME: a column
    awk -F, -v want="$2" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}{print $c[want]}' "$1"
}
nb run --versus prmsnorm:layernorm,prmsnorm:rmsnorm --kernels headline --hidden 100 --rows 20 --residency L2 \
    --prefix 6.25%,0.5 --processes 6 --rounds 2 --out run
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "the ops of the pairs are selected" [ "$(field run/results.csv op | sort -u | tr '\n' ' ')" = \
    "affine copy layernorm prmsnorm rmsnorm scale " ]
expect "both prefixes have a cell" [ "$(jq -r '.cells[].id' run/plan.json | grep -c -- '-p6.25$\|-p50$')" = 2 ]
expect "and nothing else has" [ "$(jq '.cells|length' run/plan.json)" = 2 ]
expect "k is a column, of prmsnorm alone" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    {print $c["op"], $c["k"]}' run/results.csv | sort -u | grep -v null | tr '\n' ' ')" = "prmsnorm 0.0625 prmsnorm 0.5 " ]
for pair in layernorm,prmsnorm rmsnorm,prmsnorm; do
    for pairing in best-of-each same-algorithm; do
        expect "$pair, $pairing, has a speedup in both cells" [ "$(awk -F, -v pair="$pair" -v pairing=$pairing \
            'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
             $c["base_op"]","$c["test_op"]==pair && $c["pairing"]==pairing && $c["speedup"]>0{n++}END{print n+0}' \
            run/speedup.csv)" = 2 ]
    done
done
expect "nobody asked for rmsnorm over layernorm" [ "$(grep -c ',layernorm,rmsnorm,' run/speedup.csv)" = 0 ]
expect "it is told on the terminal" grep -qE 'prmsnorm +over layernorm +x' out
expect "and in the report" grep -q '^| prmsnorm | rmsnorm | ' run/report.md
expect "and drawn" test -s run/plots/versus.svg
expect "and listed" grep -q "(plots/versus.svg)" run/report.md
expect "the line that reproduces has the prefix" grep -q -- '--prefix 50%' run/results.csv

# killed and taken up again, the pairings are those that were planned
nb run --versus prmsnorm:rmsnorm --kernels headline --hidden 100 --rows 20 --residency L2 --processes 2 --rounds 2 --out again
cp -r again cut
head -c -200 again/samples.jsonl >cut/samples.jsonl
nb run --resume cut --quiet
expect "resumed: exit 0, not $rc" [ "$rc" = 0 ]
expect "with its pair" [ "$(field cut/speedup.csv base_op | sort -u)" = rmsnorm ]

# rmsnorm and layernorm alone: no cell has a prefix, whatever is asked for
nb run --hidden 100 --rows 20 --prefix 0.25,0.5 --kernels headline --processes 2 --rounds 2 --out plain --quiet
expect "one cell, without a prefix: $(jq -r '.cells[].id' plain/plan.json | tr '\n' ' ')" \
    [ "$(jq -r '.cells[].id' plain/plan.json | grep -vc -- '-p')" = 1 ]

# groups and heads: cells of their own, where they divide a row
nb run --versus groupnorm:layernorm,qknorm:rmsnorm --kernels headline --hidden 96 --rows 20 --groups 1,8 --head 48 --stats yes \
    --processes 2 --rounds 2 --out pieces --quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "cells: $(jq -r '.cells[].id' pieces/plan.json | tr '\n' ' ')" \
    [ "$(jq -r '.cells[].id' pieces/plan.json | grep -c -- '-g1-d48$\|-g8-d48$')" = 2 ]
expect "both have a time" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["ns_per_row"]>0 {print $c["op"], $c["k"]}' pieces/results.csv | sort -u | grep -v null | tr '\n' ' ')" = \
    "groupnorm 1 groupnorm 8 qknorm 48 " ]
nb check --op groupnorm,qknorm --hidden 100 --groups 7 --head 64 --rows 3 --json
nb check --op groupnorm,qknorm --hidden 33,100 --groups 7 --head 64 --rows 3 --in-place both --json
expect "in place, too: exit $rc" [ "$rc" = 0 ]
expect "what divides no row is left out, and says why" [ "$(jq -r .reason out | grep -c 'does not divide hidden')" -gt 10 ]

# a sum in place of a mean, and one gain: over rmsnorm in both directions
nb run --versus l2norm:rmsnorm,scalenorm:l2norm --dir fwd,bwd --kernels headline --hidden 96 --rows 20 --stats yes \
    --processes 2 --rounds 2 --out sums --quiet
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "each pair has a speedup in each direction" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["pairing"]=="best-of-each" && $c["speedup"]>0{print $c["base_op"], $c["test_op"], $c["dir"]}' sums/speedup.csv |
    sort -u | tr '\n' ' ')" = "l2norm scalenorm bwd l2norm scalenorm fwd l2norm scalenorm fwd+bwd rmsnorm l2norm bwd rmsnorm l2norm fwd rmsnorm l2norm fwd+bwd " ]

# deepnorm beside layernorm of the sum without alpha, in one cell
nb run --op deepnorm,layernorm --versus deepnorm:layernorm --kernels pairings --hidden 100 --rows 20 --depth 6,12 --processes 6 --rounds 2 \
    --out deep
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "it is told on the terminal, of sums as it is" grep -qE 'deepnorm +over layernorm +x' out
expect "cells: $(jq -r '.cells[].id' deep/plan.json | tr '\n' ' ')" \
    [ "$(jq -r '.cells[].id' deep/plan.json | grep -c 'postnorm.*-l6$\|postnorm.*-l12$\|none')" = 3 ]
for pairing in best-of-each same-algorithm; do
    expect "deepnorm over layernorm, $pairing, in two cells" [ "$(awk -F, -v pairing=$pairing 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
        $c["base_op"]=="layernorm" && $c["test_op"]=="deepnorm" && $c["pairing"]==pairing && $c["speedup"]>0{print $c["test_k"]}' \
        deep/speedup.csv | sort -u | tr '\n' ' ')" = "12 6 " ]
done

# both directions: a step of training, which takes the statistics of the forward pass
for stats in yes no; do
    nb run --dir fwd,bwd --stats $stats --kernels headline --hidden 100 --rows 20 --residency L2 --processes 6 --rounds 2 \
        --out both-$stats
    expect "exit 0, not $rc" [ "$rc" = 0 ]
    expect "it stands on the terminal" grep -q '^forward, backward, and both (a step of training): rmsnorm over layernorm' out
    expect "and in the report" grep -q '^### rmsnorm over layernorm' both-$stats/report.md
done
step() { # DIR: rows, whether there is a ratio, and whether a verdict gives the reason for none
    awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next} $c["dir"]=="fwd+bwd" && $c["pairing"]=="best-of-each"{
        print $c["rows"], ($c["speedup"]!="null"), ($c["verdict"]=="no-statistics")}' "$1/speedup.csv"
}
expect "with statistics it has a ratio: $(step both-yes)" [ "$(step both-yes)" = "20 1 0" ]
expect "without, it has none: $(step both-no)" [ "$(step both-no)" = "20 0 1" ]
expect "it is drawn" test -s both-yes/plots/training.svg
expect "or not" test ! -e both-no/plots/training.gp

# a rival without a norm, in both directions; never in place, where each pass would shrink the last one's output
nb run --versus dyt:layernorm,dyt:rmsnorm --dir fwd,bwd --kernels headline --hidden 100 --rows 20 --processes 6 --rounds 2 --out dyt
expect "exit 0, not $rc" [ "$rc" = 0 ]
for dir in fwd bwd; do
    expect "dyt has a speedup over both norms, $dir" [ "$(awk -F, -v dir=$dir 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
        $c["test_op"]=="dyt" && $c["dir"]==dir && $c["pairing"]=="same-algorithm" && $c["speedup"]>0 {print $c["base_op"]}' \
        dyt/speedup.csv | sort -u | tr '\n' ' ')" = "layernorm rmsnorm " ]
done
expect "it is no ceiling" [ "$(jq -r '.cells[].groups[].members[]|select(.role=="ceiling")|.kernel' dyt/plan.json | grep -c dyt)" = 0 ]
nb check --op dyt --hidden 100 --rows 3 --in-place yes --json
expect "in place it is not timed" [ "$(grep -c 'dyt_fwd' out)" = 0 ]

# int(p*hidden) is 0 here, and rstd then 1/sqrt(0/0): rounded up, the prefix has an element
nb check --op prmsnorm --hidden 1,7,15 --rows 3 --prefix 0.000001 --isa all --json
expect "a prefix is never empty" [ "$(jq -r .verdict out | sort -u | grep -v SKIP)" = PASS ]

fails 1 'prefix: "0" is no share' run --op prmsnorm --prefix 0
fails 1 'prefix: "1.5" is no share' run --op prmsnorm --prefix 1.5
fails 1 'prefix: "nan" is no share' run --op prmsnorm --prefix nan
fails 1 'prefix: "6.25%x" is no share' run --op prmsnorm --prefix 6.25%x
fails 1 'groups:' run --op groupnorm --groups 0
fails 1 'head:' run --op qknorm --head -4
fails 1 'versus: "rmsnorm" is no pair' run --versus rmsnorm
fails 1 'versus: "rmsnorm:scale" is no pair' run --versus rmsnorm:scale
fails 1 'versus: "a:b" is no pair' run --versus rmsnorm:layernorm,a:b
finish
