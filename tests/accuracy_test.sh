#!/bin/bash
# accuracy_test.sh: the laboratory over every kernel: no kernel above its bound or 1.5 times its record, no
# probabilistic bound so wide that it checks nothing, wrong words refused. $2: the record; $3: "sanitized"
# runs one short hidden only.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
record=$2
selection=()
[ -n "${3:-}" ] && selection=(--hidden 67)

nb accuracy --out acc --baseline "$record" --quiet "${selection[@]}"
expect "no kernel above its bound or its record: exit 0, not $rc" [ "$rc" = 0 ]
nb accuracy --op prmsnorm --out accp --baseline "$record" --quiet --hidden 67
expect "nor one of a partial norm: exit 0, not $rc" [ "$rc" = 0 ]
nb accuracy --op groupnorm,qknorm --out accg --baseline "$record" --quiet --hidden 128
expect "nor one of groups or heads: exit 0, not $rc" [ "$rc" = 0 ]
nb accuracy --op l2norm,scalenorm --out accl --baseline "$record" --quiet --hidden 67
expect "nor one of a sum of squares: exit 0, not $rc" [ "$rc" = 0 ]
expect "each of them was judged" [ "$(cut -d, -f2,12 accl/accuracy.csv | grep -c '^[ls][2c].*,PASS')" -gt 1000 ]
expect "by a bound that some output exceeds" [ "$(grep -c MISTRUSTED accl/accuracy.csv)" = 0 ]
nb accuracy --op batchnorm,batchnorm_infer --out accb --baseline "$record" --quiet --hidden 67
expect "nor one of columns, in training or in inference: exit 0, not $rc" [ "$rc" = 0 ]
for op in batchnorm batchnorm_infer; do
    expect "each of $op was judged" [ "$(cut -d, -f3,12 accb/accuracy.csv | grep -c "^$op,PASS")" -gt 1500 ]
done
expect "more columns than a register has" [ "$(awk -F, 'NR>1{print $11}' accb/accuracy.csv | sort -u)" = 21 ]
expect "saved statistics were judged in training, and in inference there are none" [ "$(awk -F, '$12=="PASS"{print $3, ($30!="null")}' \
    accb/accuracy.csv | sort -u | paste -sd,)" = "batchnorm 1,batchnorm_infer 0" ]
expect "its pictures were made" [ -s accb/plots/heatmap-f32.svg ]
nb accuracy --op prmsnorm --prefix 50% --out accq --quiet --hidden 67 --isa scalar --dtype f32 --family benign
expect "a prefix can be asked for, and the line that reproduces has it" grep -q -- '--hidden 67 --prefix 50% --seed 1$' accq/accuracy.csv
nb accuracy --op dyt --out accd --baseline "$record" --quiet --hidden 67
expect "nor one without a norm: exit 0, not $rc" [ "$rc" = 0 ]
expect "each of them was judged" [ "$(cut -d, -f2,12 accd/accuracy.csv | grep -c '^dyt.*,PASS')" -gt 1000 ]
expect "each of them was judged" [ "$(cut -d, -f2,12 accg/accuracy.csv | grep -c '^[gq].*,PASS')" -gt 1000 ]
expect "each of them was judged" [ "$(cut -d, -f2 accp/accuracy.csv | grep -c '^prmsnorm')" -gt 1000 ]
nb accuracy --out acc2 --quiet --hidden 67 --dtype f32 --seed 1
expect "the same seed gives the same numbers" \
    [ "$(grep ',f32,.*,67,' acc/accuracy.csv | md5sum)" = "$(grep ',f32,.*,67,' acc2/accuracy.csv | md5sum)" ]

# the largest share of the probabilistic bound that each kernel with sums has used: at least a fiftieth
awk -F, 'NR==1 {for (i = 1; i <= NF; i++) c[$i] = i}
    NR > 1 && $c["share_likely"] != "null" && $c["share_likely"] + 0 > m[$c["kernel"]] + 0 {
        m[$c["kernel"]] = $c["share_likely"]}
    END {for (k in m) if (m[k] != "") {n++; if (least == "" || m[k] + 0 < least + 0) {least = m[k]; who = k}}
        print n, least, who}' acc/accuracy.csv >tightness
read -r kernels least who <tightness
echo "$kernels kernels; the loosest probabilistic bound: $least of it was used ($who)"
expect "every probabilistic bound within 50 times of an error seen ($who: $least)" \
    awk -v v="$least" 'BEGIN {exit !(v >= 0.02)}'
expect "at least 30 kernels were judged" [ "$kernels" -ge 30 ]

for file in accuracy.md plots/heatmap-f32.svg plots/conditioning-f32.svg plots/ulp-bf16.svg; do
    expect "$file was made" [ -s "acc/$file" ]
done

# the anchor that onnxruntime's issue 31973 publishes
normwise() {
    awk -F, -v k="$1" 'NR==1 {for (i = 1; i <= NF; i++) c[$i] = i}
        $2 == k && $c["family"] == "ort-b1" {printf "%.4e", $c["normwise"]}' b1/accuracy.csv
}
nb accuracy --out b1 --quiet --hidden 1024 --dtype f32 --isa scalar --family ort-b1
expect "ORT-B1 welford" [ "$(normwise layernorm_fwd_welford__f32_scalar)" = 9.3573e-01 ]
expect "ORT-B1 twopass" [ "$(normwise layernorm_fwd_twopass__f32_scalar)" = 3.2976e-02 ]
expect "ORT-B1 f64acc at most 1e-7" awk -v v="$(normwise layernorm_fwd_f64acc__f32_scalar)" \
    'BEGIN {exit !(v + 0 > 0 && v + 0 <= 1e-7)}'

refuses() { # text, then arguments
    local text=$1
    shift
    fails 1 "$text" accuracy --out bad --quiet "$@"
}
refuses 'passes backward and norms of a sum' --kernel rmsnorm_bwd_twopass__f32_scalar
refuses 'no family matches "sweeps"' --family sweeps
refuses 'neither inside nor outside' --eps-mode beside
refuses 'is no finite number' --eps inf
refuses 'is no finite number' --eps -1
refuses 'neither cast_after nor cast_before' --order never
refuses 'is not a whole number' --hidden 0
refuses 'No such file' --baseline nowhere.csv
refuses 'unexpected word' --dtype f32 extra
printf 'kernel,hidden,E_max\nbroken line\n' >broken.csv
refuses 'broken.csv:2' --baseline broken.csv

printf 'kernel,hidden,E_max\nlayernorm_fwd_twopass__f32_scalar,67,0.01\n' >strict.csv
nb accuracy --out strict --quiet --hidden 67 --kernel layernorm_fwd_twopass__f32_scalar --baseline strict.csv
expect "a regression exits 2, not $rc" [ "$rc" = 2 ]
expect "and is named" grep -q 'REGRESSION: layernorm_fwd_twopass__f32_scalar' err
finish
