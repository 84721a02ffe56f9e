#!/bin/bash
# backward_run_test.sh: passes backward are selected, checked, timed and resumed like those forward (count_test.sh: counted).
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

verdicts() { jq -r .verdict out | grep -v '^SKIP_ISA$' | sort -u | tr '\n' ' '; } # what this CPU has not is no matter
norms=layernorm,rmsnorm,prmsnorm,groupnorm,qknorm,l2norm,scalenorm
nb check --dir bwd --op $norms --isa all --dtype f32,bf16 --hidden 96 --groups 3 --head 32 --rows 9 --json
expect "all pass: $(verdicts)" [ "$(verdicts)" = "PASS " ]
expect "of all norms" [ "$(jq -r 'select(.verdict=="PASS")|.kernel' out | sed 's/_bwd.*//' | sort -u | tr '\n' ' ')" = \
    "groupnorm l2norm layernorm prmsnorm qknorm rmsnorm scalenorm triad " ]
nb check --dir bwd --op $norms --dtype f64,f16 --hidden 70 --groups 7 --head 10 --rows 5 --param-dtype f32 --threads all --json
expect "f64, f16 with gamma in f32, on all cores: $(verdicts)" [ "$(verdicts)" = "PASS " ]
nb check --dir bwd --op prmsnorm --hidden 1,7,15 --prefix 0.000001,1 --rows 3 --json
expect "a prefix of one element, and of all: $(verdicts)" [ "$(verdicts)" = "PASS " ]
nb check --op deepnorm --dir fwd,bwd --isa all --dtype f64,bf16 --hidden 33 --depth 6,1000 --rows 9 --threads all --json
expect "deepnorm in both directions: $(verdicts)" [ "$(verdicts)" = "PASS " ]
expect "with h, and with two gradients" [ "$(jq -r .cell out | sed 's/-[bf][^-]*-h.*-l/ l/' | sort -u | tr '\n' ' ')" = \
    "bwd-residual l1000 bwd-residual l6 fwd-residual l1000 fwd-residual l6 " ]
nb check --op deepnorm --hidden 33 --rows 5 --json
expect "forward alone it is postnorm" [ "$(jq -r 'select(.verdict=="PASS")|.kernel' out | grep -c '^deepnorm_fwd_postnorm_')" -ge 7 ]
nb check --op deepnorm,layernorm,rmsnorm --dir bwd --fuse residual --isa all --dtype f32,bf16 --hidden 33 --rows 9 --json
expect "back through a sum, with one gradient and with two: $(verdicts)" [ "$(verdicts)" = "PASS " ]
expect "each with its own kernels" [ "$(jq -r .kernel out | sed 's/_\(unfused\|naive\|twopass\|plain\)__.*//' | sort -u | tr '\n' ' ')" = \
    "deepnorm_bwd_res layernorm_bwd rmsnorm_bwd triad_bwd triad_bwd_res " ]
fails 1 'goes back through x + residual' check --op prmsnorm,batchnorm --dir bwd --fuse residual
fails 1 '--fuse postnorm does not keep; --fuse residual does' check --op deepnorm --dir bwd --fuse postnorm
fails 1 'no kernel has this op, direction (--dir), fusion (--fuse)' check --op deepnorm --fuse none
for depth in 0 -3 2.5 1000001 x; do
    fails 1 "depth: \"$depth\" is not a whole number from 1 to 1000000" check --op deepnorm --depth "$depth"
done
nb check --dir bwd --hidden 64 --rows 3 --in-place yes
expect "in place there is none: exit $rc" [ "$rc" = 1 ]
expect "and it says so" grep -q 'backward, no kernel writes dx over an input' err
fails 1 'dir: unknown word "back"; known: fwd (forward), bwd (backward: the gradients)' check --dir back
fails 1 'no kernel has this op, direction (--dir)' check --kernel 'layernorm_bwd_*'

nb run --dir fwd,bwd --stats yes --hidden 100 --residency L2,cold --kernels pairings --processes 6 --rounds 2 --out run
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "two cells of each direction" [ "$(jq -r '.cells[].dir' run/plan.json | sort | uniq -c | tr -s ' \n' '  ')" = \
    " 2 bwd 2 fwd " ]
row() { awk -F, -v dir="$1" -v k="$2" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["dir"]==dir && $2 ~ k && $c["verdict"]=="PASS" && $c["ns_per_row"]>0 && $c["E_max"]>0{n++}END{print n+0}' run/results.csv; }
expect "backward they are timed: $(row bwd '^layernorm_bwd_twopass')" [ "$(row bwd '^layernorm_bwd_twopass')" -ge 2 ]
expect "and rmsnorm" [ "$(row bwd '^rmsnorm_bwd_twopass')" -ge 2 ]
expect "the roof is the triad" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["dir"]=="bwd"{sub(/_plain.*/,"",$c["roof"]);print $c["roof"]}' run/results.csv | sort -u)" = triad_bwd ]
expect "backward has a speedup in both cells" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["dir"]=="bwd" && $c["pairing"]=="best-of-each" && $c["speedup"]>0{n++}END{print n+0}' run/speedup.csv)" = 2 ]
cp -r run cut
head -c -300 run/samples.jsonl >cut/samples.jsonl
nb run --resume cut --quiet
expect "resumed: exit 0, not $rc" [ "$rc" = 0 ]
repro=$(awk -F, '/^1,rmsnorm_bwd_twopass/{print $NF;exit}' run/results.csv)
expect "the line that reproduces names the direction: $repro" grep -q -- '--dir bwd' <<<"$repro"
# shellcheck disable=SC2086 # words of a command
eval "set -- ${repro#normbench }"
nb "$@" --processes 1 --rounds 1 --out again --quiet
expect "and works: exit $rc" [ "$rc" = 0 ]
nb run --op deepnorm --dir fwd,bwd --stats yes --hidden 100 --kernels headline --processes 6 --rounds 2 --out deep
expect "deepnorm: exit 0, not $rc" [ "$rc" = 0 ]
deep() { awk -F, -v dir="$1" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["op"]=="deepnorm" && $c["dir"]==dir && $c["fuse"]=="residual" && $c["verdict"]=="PASS" && $c["ns_per_row"]>0 && $c["k"]==12{n++}
    END{print n+0}' deep/results.csv; }
expect "it is timed forward: $(deep fwd)" [ "$(deep fwd)" -ge 1 ]
expect "and backward: $(deep bwd)" [ "$(deep bwd)" -ge 1 ]
expect "its roof has two outputs, too" [ "$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["op"]=="deepnorm"{sub(/_plain.*/,"",$c["roof"]);print $c["roof"]}' deep/results.csv | sort -u | tr '\n' ' ')" = \
    "triad_bwd_res triad_fwd_res " ]

# a step of training of deepnorm, against the layernorm of the same sum: one cell a direction, whose norms write two tensors and one
nb run --op deepnorm,layernorm --versus deepnorm:layernorm --dir fwd,bwd --stats yes --hidden 100 --rows 20 --kernels headline --processes 6 \
    --rounds 2 --out step
expect "a step of deepnorm: exit 0, not $rc" [ "$rc" = 0 ]
columns() { # FILE CONDITION NAME...: of its lines that awk finds so, in c[NAME]
    awk -F, -v names="${*:3}" 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;n=split(names,want," ");next}
        '"$2"'{for(i=1;i<=n;i++)printf "%s ", $c[want[i]]; print ""}' "$1" | sort -u | tr '\n' ' '
}
step='$c["base_op"]=="layernorm" && $c["test_op"]=="deepnorm" && $c["pairing"]=="best-of-each" && $c["speedup"]>0'
expect "it has a ratio each way and of both: $(columns step/speedup.csv "$step" dir fuse)" \
    [ "$(columns step/speedup.csv "$step" dir fuse)" = "bwd residual  fwd residual  fwd+bwd residual  " ]
expect "also algorithm by algorithm" [ "$(columns step/speedup.csv "${step/best-of-each/same-algorithm}" dir)" = "bwd  fwd  fwd+bwd  " ]
back='$c["dir"]=="bwd" && $c["fuse"]=="residual" && $c["ns_per_row"]>0'
expect "traffic is that of each kernel" [ "$(columns step/results.csv "$back && \$c[\"op\"]!=\"triad\"" op bytes_per_row)" = \
    "deepnorm 1600  layernorm 1200  " ]
expect "and so is the roof" [ "$(columns step/results.csv "$back && \$c[\"op\"]!=\"triad\"" op roof | sed 's/_plain[^ ]*//g')" = \
    "deepnorm triad_bwd_res  layernorm triad_bwd  " ]
expect "one anchor a group" [ "$(jq '[.cells[].groups[]|select(.stage=="all")|[.members[]|select(.role=="anchor")]|length]|unique' -c step/plan.json)" = "[1]" ]
expect "the terminal says what it is of" grep -qE '^  L2 .*, of x \+ residual, depth 12$' out
expect "the picture has it, with its star" grep -q 'DeepNorm, depth 12 \*' step/plots/training.gp
nb run --versus deepnorm:layernorm,rmsnorm:layernorm --dir fwd,bwd --stats yes --hidden 100 --rows 20 --kernels headline --processes 6 --rounds 2 --out beside
expect "beside others: exit 0, not $rc" [ "$rc" = 0 ]
expect "they are of no sum, and have no star" grep -qF "NORM[2] = ['RMSNorm', 'DeepNorm, depth 12 *']" beside/plots/training.gp
nb explain deepnorm_bwd_res_twopass__f32_scalar
expect "explained: both gradients are written" grep -q 'x and dy read and dres and dx written once' out
nb explain rmsnorm_bwd_twopass__f32_scalar
expect "explained: x and dy are read" grep -q 'x and dy read and dx written once' out
finish
