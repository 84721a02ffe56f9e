#!/bin/bash
# cli_test.sh: bad input gets exit code 1 and a message that says what would be right.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

fails 1 "unknown command" dance
fails 1 "unknown word \"f33\"; known: f32" run --dtype f33
fails 1 "unknown word \"L9\"" check --residency L9
fails 1 "unknown word \"avx9\"" check --isa avx9
fails 1 "no kernel has algorithm \"magic\"" check --algo magic
fails 1 "unknown word \"batchnorm3d\"" check --op batchnorm3d
fails 1 "not a whole number from 1" run --hidden 0
fails 1 "not a whole number from 1" run --hidden -5
fails 1 "not a whole number" run --hidden 12x
fails 1 "is no range" run --hidden 64:128
fails 1 "empty word" run --hidden 64,,128
fails 1 "half of L2" check --hidden 100000000
fails 1 "more than half of this machine's memory" check --hidden 200000000 --rows 1000 --residency cold
fails 1 "this process may use" check --threads 4000
fails 1 "not a whole number" run --threads two
fails 1 "the selection is empty" check --algo scaled --op layernorm
fails 1 "the selection is empty" check --fuse residual --op prmsnorm # the ceilings alone are nothing that was asked for
fails 1 "the selection is empty" check --dir bwd --op affine
fails 1 "is not a time" run --budget soon
fails 1 "is not a time" run --timeout 0s
fails 1 "not a whole number" run --processes 0
fails 1 "unrecognized option" run --frobnicate
fails 1 "unexpected word" run quickly
fails 1 "normbench list presets" run --preset nonesuch
fails 1 "exclude each other" run --resume a --out b
fails 1 "unknown word" list nonsense
fails 1 "usage" report
fails 1 "nodir" report "$work/nodir"

for bound in OMP_PROC_BIND=close OMP_PLACES=cores GOMP_CPU_AFFINITY=0; do
    export "${bound?}"
    fails 1 "${bound%%=*} is set" run --kernels headline --hidden 64
    fails 1 "unset OMP_PROC_BIND" doctor
    unset "${bound%%=*}"
done

mkdir exists
fails 1 "exists already" run --kernels headline --hidden 64 --out exists
fails 1 "cannot make the folder" run --kernels headline --hidden 64 --out "$work/no/such/place"
fails 1 "cannot make the folder" run --kernels headline --hidden 64 --out /proc/nowhere
NB_DISABLE_ISA=mmx fails 1 "unknown word \"mmx\"" list

# preset files: the line and the key are named
preset() { printf '%b' "$1" >bad.preset; }
preset 'title = x\n[a]\nhiden = 3\n'
fails 1 'bad.preset:3: unknown key "hiden"' run --preset ./bad.preset
keys=$(sed -n 's/.*unknown key "hiden"; known: //p' err | tr -d ,)
expect "the keys are named: $keys" [ "$(wc -w <<<"$keys")" -ge 21 ]
# each is an option of every command that selects kernels; of gates --head is a program, and the key head --head-length
for command in run check count gate "gate --counts"; do
    # shellcheck disable=SC2086 # words of a command
    nb $command --help
    for key in $keys; do
        [[ "$command $key" =~ ^gate.*\ head$ ]] && key=head-length
        [[ "$command $key" =~ counts\ (threads|residency)$ ]] || # counts know neither
            expect "$command --help tells of --$key" grep -qE "^ +--$key=" out
    done
    expect "$command --help names the ops" grep -q 'scalenorm' <(tr -d '\n' <out)
done
nb run --help
expect "defaults are told" grep -q 'default 6.25%' <(tr -s ' \n' '  ' <out)
nb check --prefix 50% --groups 2 --head 4 --depth 3 --momentum 0.5 --op prmsnorm,groupnorm,qknorm,batchnorm --hidden 16 --rows 4 --json
expect "they are heard: $(jq -r .cell out | head -1)" grep -q -- '-p50-g2-d4-m0.5"' out
# a gate takes them as run does: bad ones are refused, and good ones reach the plan
for word in 'prefix 0' 'groups 0' 'head-length 0' 'depth 0' 'momentum 2' 'offset 7' 'stats maybe' 'param-dtype f33'; do
    # shellcheck disable=SC2086 # an option and its value
    fails 1 "--${word%% *}" gate --base "$normbench" --${word% *} ${word#* }
done
preset 'title = x\n[a]\nhidden = 3,zero\n'
fails 1 'bad.preset:3: hidden' run --preset ./bad.preset
preset 'colour = red\n[a]\n'
fails 1 'bad.preset:1: unknown key "colour"' run --preset ./bad.preset
preset 'title = x\n[a\n'
fails 1 'bad.preset:2:' run --preset ./bad.preset
preset 'title = x\n'
fails 1 'needs at least one' run --preset ./bad.preset
preset '[a]\nhidden 3\n'
fails 1 'bad.preset:2: "hidden 3" is not of the form key = value' run --preset ./bad.preset
preset '[a]\nhidden = 3\nhidden = 4\n'
fails 1 'bad.preset:3: hidden: given twice in block [a]; join the values' run --preset ./bad.preset
preset '[a]\nhidden = 1:8:x2:9\n'
fails 1 'bad.preset:2: hidden: "1:8:x2:9" is no range' run --preset ./bad.preset
preset '[a]\nhidden = 1:4096:+1,1:4096:+1\n'
fails 1 'bad.preset:2: hidden: more than 4096 values' run --preset ./bad.preset
preset '[a]\nhidden = 3\0000 and more\n'
fails 1 'bad.preset:2: control byte 0x00' run --preset ./bad.preset
preset '[a]\nhidden = 3\rrows = 7\n'
fails 1 'bad.preset:2: control byte 0x0d' run --preset ./bad.preset
preset "title = $(printf '%0256d' 0)\n[a]\n"
fails 1 'bad.preset:1: title: longer than 255' run --preset ./bad.preset
preset "$(printf '[b%d]\\n' {1..257})"
fails 1 'bad.preset:257: more than 256 blocks' run --preset ./bad.preset
fails 1 '/dev/zero: larger than 1048576 bytes' run --preset /dev/zero
fails 1 'Is a directory' run --preset ./
head -c 100000 /dev/urandom >bad.preset
nb run --preset ./bad.preset
expect "random bytes are refused, not crashed on: $rc" [ "$rc" = 1 ]

odd=$(printf "bad\\377")
nb run --kernels headline --hidden 64 --processes 1 --rounds 1 --quiet --out "$odd"
expect "a name that is no UTF-8 is no trouble: $rc" [ "$rc" = 0 ]
expect "its command can be read again" grep -q "bad?" "$odd/report.md"

# momentum of batchnorm: checked, in the id and in the line that reproduces; of no other op
for m in 0 0.25 1; do
    nb check --op batchnorm --momentum $m --dtype f32,bf16 --hidden 33 --rows 9 --json --quiet
    expect "--momentum $m exits 0, not $rc" [ "$rc" = 0 ]
    expect "--momentum $m passes and says so" jq -se --arg m "$m" '[.[]|select(.type=="check" and (.kernel|test("^batchnorm")))]|length > 4 and
        all(.verdict=="PASS" and (.cell|endswith("-m"+$m)) and (.repro|contains(" --momentum "+$m+" ")))' out >jq.out
done
for usual in '--op batchnorm' '--op batchnorm --momentum 0.1' '--op layernorm,batchnorm_infer --momentum 0.5'; do
    nb check $usual --kernels headline --hidden 33 --rows 9 --json --quiet
    expect "$usual: nothing is said of a momentum" jq -se '[.[]|select(.type=="check")]|length > 1 and
        all(.verdict=="PASS" and (.cell|test("-m[0-9]")|not) and (.repro|contains("momentum")|not))' out >jq.out
done
nb run --op batchnorm --kernels headline --momentum 0.3333333333333333 --hidden 64 --rows 20 --processes 1 --rounds 1 --quiet --out momentum
expect "a run with a momentum exits 0, not $rc" [ "$rc" = 0 ]
expect "the plan has it" jq -e '.cells[0].momentum == 0.3333333333333333' momentum/plan.json >jq.out
expect "the workers have it" jq -se '[.[]|select(.kernel|test("^batchnorm"))]|length > 0 and
    all(.repro|contains(" --momentum 0.33333333333333331 "))' momentum/checks.jsonl >jq.out
for m in -0.1 1.5 nan '' x 0.5x ' 0.5' 0,1; do
    fails 1 "momentum: \"$m\" is no number from 0 to 1, such as 0.1" check --op batchnorm --momentum "$m"
done
preset '[a]\nop = batchnorm\nmomentum = 2\n'
fails 1 'bad.preset:3: momentum: "2" is no number from 0 to 1' run --preset ./bad.preset

nb --help
expect "help exits 0" [ "$rc" = 0 ]
expect "help shows examples" grep -q "normbench run --preset" out
nb run --help
expect "run --help exits 0" [ "$rc" = 0 ]
expect "it lists the selection" grep -q -- "--residency" out
nb --version
expect "version names the schema" grep -q "schema 1" out
nb list
expect "list names kernels" grep -q layernorm_fwd_twopass__f32_scalar out
for preset in quick default models full; do
    nb list presets
    expect "preset $preset is listed" grep -q "^$preset " out
    nb list presets --json
    expect "preset $preset is valid" jq -e --arg p $preset 'any(.name == $p and .valid)' out >jq.out
done
nb doctor
expect "doctor exits 0, not $rc" [ "$rc" = 0 ]
expect "doctor says something" [ -s out ]

# standard files that the caller closed must not be mistaken for files of the run
"$normbench" run --kernels headline --hidden 64 --processes 2 --rounds 2 --out closed <&- >&- 2>&-
expect "a run without stdin, stdout and stderr exits 0" [ $? = 0 ]
for lines in checks samples; do
    expect "$lines.jsonl holds JSON alone" jq -e . closed/$lines.jsonl >jq.out
done

# without gnuplot the tables still come, and the report says what is missing
mkdir empty
PATH=$work/empty "$normbench" run --kernels headline --hidden 64 --processes 2 --rounds 2 --out nognuplot \
    >out 2>err
expect "a run without gnuplot exits 0" [ $? = 0 ]
expect "the table is there" [ -s nognuplot/results.csv ]
expect "and the data of the plots" [ -s nognuplot/plots/speedup_best.dat ]
expect "and a word about it" grep -qi gnuplot nognuplot/report.md out err
expect "with few processes there is no interval" grep -q too-few-processes nognuplot/speedup.csv
finish
