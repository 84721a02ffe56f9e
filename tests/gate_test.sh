#!/bin/bash
# gate_test.sh: the gate on builds that differ as we know, on builds that are none, and on wrong options.
# $2: normbench with the kernels of mutants.c, which NB_MUTANTS_CALM keeps right and fast. $3: sanitizers, if any.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
mutants=$(readlink -f "$2")

cat >calm <<SCRIPT
#!/bin/sh
NB_MUTANTS_CALM=1 exec "$mutants" "\$@"
SCRIPT
cat >wild <<SCRIPT
#!/bin/sh
exec env -u NB_MUTANTS_CALM "$mutants" "\$@"
SCRIPT
# Workers of other times: what they hear of a newer protocol is one that nobody knows.
speaks() {
    cat >"$1" <<SCRIPT
#!/bin/sh
[ "\$1" = --worker ] || exec "$normbench" "\$@"
sed -u 's/"protocol":$2,/"protocol":99,/' | "$normbench" "\$@"
SCRIPT
}
speaks one '[23]'
speaks ancient '[123]'
printf '#!/bin/sh\nkill -ILL $$\n' >illegal
printf 'not a program' >text
chmod +x calm wild one ancient illegal text
small=(--hidden 100 --rows 40 --residency L2 --dtype f32 --isa all --timeout 5s)
tries=3 n=0 valid=0 invalid=0
if [ -z "${3:-}" ]; then
    small+=(--blocks 12 --budget 15s)
    blocks=12
else
    small+=(--blocks 8 --budget 20s) # times of a sanitized build say little: no second try where they are invalid
    blocks=8
    tries=1
fi

# gate ARGS...: as nb. A run whose controls fail says nothing, on a machine as busy as one that tests: it is done
# again, up to three times.
gate() {
    for ((try = 0; try < tries; try++)); do
        n=$((n + 1))
        nb gate "$@" "${small[@]}" --out "g$n"
        [ $rc = 1 ] && [ -s "g$n/gate.json" ] || return
    done
    echo "left out, invalid each time: $*"
}
# is RC VERDICT KERNEL: of times, unless the run was invalid again and again; FAILED is no matter of times.
is() {
    local got
    if [ $rc = 1 ] && [ -s "g$n/gate.json" ]; then
        invalid=$((invalid + 1))
        [ "$2" = FAILED ] || return
    else
        valid=$((valid + 1))
        expect "exit $1, not $rc ($3)" [ "$rc" = "$1" ]
    fi
    got=$(jq -r --arg k "$3" '[.comparisons[]|select(.kernel==$k and (.control|not)).verdict]|first' "g$n/gate.json")
    expect "$3 is $2, not $got" [ "$got" = "$2" ]
}
k() { echo "rmsnorm_fwd_$1__f32_mutant"; }

# ---- builds that differ as we know ----
gate --base ./calm --head "$mutants" --kernel "$(k works_twice),$(k right)"
is 3 SLOWER "$(k works_twice)"
expect "the others are not slower" [ "$(jq '[.comparisons[]|select(.verdict=="SLOWER" and (.control|not))]|length' "g$n/gate.json")" -le 1 ]
slow=g$n
gate --base ./wild --head ./calm --kernel "$(k works_twice),$(k right)"
is 0 FASTER "$(k works_twice)"
gate --base ./calm --head "$mutants" --kernel "$(k crashes_late),$(k right)"
is 2 FAILED "$(k crashes_late)"
gate --base ./calm --head "$mutants" --kernel "$(k wrong_late),$(k right)"
is 2 FAILED "$(k wrong_late)"
gate --base ./calm --head "$mutants" --kernel "$(k hangs_late),$(k right)"
is 2 FAILED "$(k hangs_late)"
gate --base "$normbench" --head "$mutants" --kernel "$(k right),rmsnorm_fwd_onepass__f32_scalar"
[ $rc = 1 ] || expect "a kernel that base has not is no verdict on it" [ "$(jq -r --arg k "$(k right)" \
    '.comparisons[]|select(.kernel==$k).verdict' "g$n/gate.json")" = ADDED ]

# memory that all builds share, in two cells, with scratch beyond a huge page (too slow under sanitizers)
if [ -z "${3:-}" ]; then
    nb gate --base "$normbench" --dtype bf16 --isa scalar --hidden 768,1024 --residency L2 --kernel 'layernorm_*_unfused__bf16_scalar' \
        --blocks 8 --budget 60s --out scratch
    expect "shared memory with scratch: it ends, or has no time: $rc" grep -qs "comparisons\|need at least" scratch/gate.json err
    expect "and nobody damages what is another's" [ "$(grep -c '"type":"discard"' scratch/samples.jsonl)" = 0 ]
fi

# ---- what is written ----
expect "gate.json has the blocks" jq -e '[.comparisons[]|select(.control).blocks.confirm|length]|first=='$blocks "$slow/gate.json"
expect "and the builds" jq -e '.run.base|startswith("normbench ")' "$slow/gate.json"
expect "the control is in it" jq -e '[.comparisons[]|select(.control)]|length==1' "$slow/gate.json"
expect "gate.md names the slower one" grep -q "SLOWER.*works_twice" "$slow/gate.md"
expect "junit has a failure or, invalid, errors" grep -qE '<(failure|error) message' "$slow/gate.junit.xml"
expect "a picture" [ -s "$slow/plots/gate.svg" ]
expect "raw samples" jq -es 'map(select(.type=="round" and .stage=="confirm" and .build=="head"))|length>0' "$slow/samples.jsonl"

# ---- an older worker ----
gate --base ./one --kernel rmsnorm_fwd_onepass__f32_scalar,rmsnorm_fwd_naive__f32_scalar
expect "a base of protocol 1 is driven: $rc" [ -s "g$n/gate.json" ]
fails 1 "speaks no protocol" gate --base ./ancient "${small[@]}" --out ancient.d

# ---- bases that are none ----
fails 1 "No such file" gate --base ./nothing --out x
fails 1 "no program" gate --base . --out x
fails 1 "cannot be run here" gate --base ./text --out x
fails 1 "no normbench program" gate --base /bin/true --out x
fails 1 "another CPU" gate --base ./illegal --out x
gate --base ./wild --head ./calm --kernel "$(k crashes_late),$(k right)"
expect "a base that crashes is exit 1, not $rc" [ $rc = 1 ]
expect "and is told" grep -q "base" err
expect "without a verdict" [ ! -e "g$n/gate.json" ]

[ $tries = 1 ] || expect "some runs are valid ($valid of $((valid + invalid)))" [ $valid -gt 0 ]

# ---- wrong options ----
fails 1 "--base PROGRAM is missing" gate
fails 1 "neither auto nor a share" gate --base "$normbench" --margin big
fails 1 "--budget" gate --base "$normbench" --budget soon
fails 1 "need at least" gate --base "$normbench" --budget 1s --out tight
fails 1 "need at least" gate --base "$normbench" --op prmsnorm,groupnorm,qknorm,batchnorm --kernels headline --prefix 50% --groups 2 \
    --head-length 16 --momentum 0.5 --hidden 64 --rows 8 --residency L2 --budget 1s --out numbers
expect "numbers of ops reach the plan" grep -q -- '-p50-g2-d16-m0.5"' numbers/samples.jsonl
fails 1 "--plugin names the new one" gate --base-plugin x.so
fails 1 "exists" gate --base "$normbench" "${small[@]}" --kernel rmsnorm_fwd_onepass__f32_scalar --out "$slow"
fails 1 "nothing can be compared" gate --base ./calm --head "$mutants" --kernel "$(k zeros)" "${small[@]}" --out none
fails 1 "unexpected word" gate here
nb gate --help
expect "help names the exit codes" grep -q "4 not resolved" out

# ---- the self-test ----
nb gate-selftest --plant 0,100 --runs 1 --load 0 --budget 30s --blocks 12 --preset "$(dirname "$(readlink -f "$0")")/gate_tiny.preset" --out self
expect "the self-test ends: $rc" [ $rc = 0 ]
expect "its blocks are kept" [ "$(grep -c "confirm" self/blocks.csv)" -gt 0 ]
expect "its shares are printed" grep -q "A/A: 1 runs" out
fails 1 "--plant" gate-selftest --plant many
finish
