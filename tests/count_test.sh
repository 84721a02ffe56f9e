#!/bin/bash
# count_test.sh: `normbench count` and `gate --counts` as a user calls them. $1 the program, $2 mutants, $3 sanitizers
# of this build.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
mutants=$2 program=$normbench

fails 1 "--threads: one thread is counted" count --threads 2
fails 1 "--residency: caches are simulated" count --residency L2
fails 1 "--tune: a count is the same" count --tune none.tune
fails 1 "--dtype: unknown word \"f99\"" count --dtype f99
fails 1 "the selection is empty" count --op layernorm --algo scaled
fails 1 "cannot write in" count --out nowhere/counts.json
fails 1 "names a folder" count --out ./
fails 1 "unexpected word" count everything
mkdir bin # without valgrind
for tool in grep sed tail; do ln -s "$(command -v $tool)" bin/; done
PATH=$work/bin fails 1 "apt-get install valgrind" count --hidden 8
nb count --help
expect "--help names the options" grep -q -- --out out
fails 1 "--base PROGRAM is needed" gate --counts
fails 1 "cannot start ./none" gate --counts --base none
fails 1 "does not answer --version as normbench does" gate --counts --base /bin/true
fails 1 "is no number of percent" gate --counts --base "$normbench" --count-tolerance some
printf '#!/bin/sh\necho "normbench 0.1.0 (schema 1, git old)"\n' >old
# shellcheck disable=SC2016 # for the shell that runs it
printf '#!/bin/sh\nif [ "$1" = count ]; then kill -SEGV $$; fi\nexec %s "$@"\n' "$normbench" >crashing
cat >newer <<END
#!/bin/sh
$normbench "\$@" || exit
[ "\$1" != count ] || sed -i 's/"format": 1/"format": 99/' "\$3"
END
chmod +x old crashing newer
fails 1 "normbench 0.1.0 (schema 1, git old) is too old" gate --counts --base old
fails 1 "was killed by signal 11" gate --counts --base crashing --hidden 8 --dtype f32
if [ -n "${3:-}" ]; then # what sanitizers put into the program does not run under valgrind
    finish
fi
command -v valgrind >/dev/null || { echo "skipped the rest: no valgrind"; finish; }
nb count --hidden 8 --dtype f32 --kernel "copy*scalar" --quiet
if grep -q "built without valgrind/callgrind.h" err; then
    echo "skipped the rest: $(cat err)"
    finish
fi

few=(--kernel '*onepass__f*_scalar,rmsnorm_fwd_*__f32_avx2,*auto__f32*' --hidden 100)
one=(--kernel "rmsnorm_fwd_naive__f32_*" --dtype f32 --hidden 8)
nb count "${few[@]}" --out one.json
expect "exit 0, not $rc" [ "$rc" = 0 ]
expect "the table says what it is" grep -q "^simulated by callgrind" out
expect "and what is not counted" grep -q "x callgrind has no AVX-512$" out
expect "progress is on stderr" grep -q "^counting" err
# the same bytes, whatever the environment, the folder and what else was counted
mkdir elsewhere
(cd elsewhere && TMPDIR=$work/elsewhere NB_PADDING=$(printf '%02000d' 0) "$normbench" count "${few[@]}" --out two.json --quiet)
expect "two runs give the same bytes" cmp one.json elsewhere/two.json
for way in "--dir bwd" "--fuse residual"; do
    # shellcheck disable=SC2086 # words of an option
    nb count $way --op rmsnorm --isa scalar --dtype f32 --hidden 64 --rows 4 --json
    expect "$way is counted, and a norm is more than its triad" jq -e '[.counts[] | select(.isa == "scalar")]
        | (map(select(.op == "triad").instructions) | max) as $triad | map(select(.op == "rmsnorm").instructions) | length >= 3 and min > $triad' out
done
nb count "${few[@]}" --hidden 33,100 --dtype f32 --json
expect "--json: progress on stderr alone" jq -e '.format == 1' out >/dev/null
# shellcheck disable=SC2016 # jq's own
expect "a count does not depend on what else is counted" jq -e -n --slurpfile a one.json --slurpfile b out '
    ([$a[0].counts[] | select(.dtype == "f32")] | length > 9) and
    [$a[0].counts[] | select(.dtype == "f32")] == [$b[0].counts[] | select(.hidden == 100)]' >/dev/null
expect "counts are plausible" jq -e '[.counts[] | select(.reason == null)] | length > 5 and
    all(.instructions > 100 and .reads > 0 and .writes > 0)' one.json >/dev/null
expect "a scalar kernel stores each element at least once, and not twice" jq -e '[.counts[] |
    select(.kernel | test("^(layernorm|rmsnorm)_fwd_onepass__f32_scalar$"))] | length == 2 and all(.writes >= 900 and .writes < 1800)' one.json >/dev/null
nb count "${few[@]}" --dtype f32 --out one.csv --quiet
expect "csv: one line a row" [ "$(wc -l <one.csv)" = "$((1 + $(jq '[.counts[] | select(.dtype == "f32")] | length' one.json)))" ]
NB_DISABLE_ISA=avx512 nb count "${few[@]}" --json --quiet
expect "a host without AVX-512 gives the same" cmp out one.json

# kernels of another program, some of them wrong
normbench=$mutants nb count --kernel '*_mutant' --hidden 64 --isa all --timeout 2s --json
expect "a wrong kernel: exit 2, not $rc" [ "$rc" = 2 ]
expect "only what is right is counted" jq -se 'length == 1 and all(.[0].counts[];
    if (.kernel | test("(zeros|eps_dropped|not_a_number|hangs)__")) then .failed and .instructions == null and
        (.reason | test("^(FAIL|TIMED)")) else (.kernel | test("fwd_right__") | not) or .instructions > 0 end)' out >/dev/null
# the worker dies after some dozens of calls: that kernel is named, and the others are counted
normbench=$mutants nb count --kernel '*_right__*_mutant,*_crashes_late__*_mutant' --hidden 8:47:+1 --rows 1 --isa all --json
expect "a kernel that crashes under callgrind: exit 2, not $rc" [ "$rc" = 2 ]
expect "and is named" jq -se 'length == 1 and ([.[0].counts[] | select(.reason != null)] | length > 0 and
    all(.failed and (.kernel | test("crashes_late")) and (.reason | test("^CRASHED: killed by signal 6"))))' out >/dev/null
expect "the right one is counted in all 40 cells" [ "$(jq '[.counts[] | select((.kernel | test("right")) and
    .instructions > 0)] | length' out)" = 40 ]

nb gate --counts --base "$normbench" "${one[@]}" --out gate
expect "a build against itself: exit 0, not $rc" [ "$rc" = 0 ]
expect "all is identical" grep -qE '^[0-9]+ IDENTICAL, [0-9]+ NOT_COUNTED of' out
expect "counts.md says so" grep -q "no kernel has more" gate/counts.md
fails 1 "counts of format 99; this program reads format 1" gate --counts --base newer "${one[@]}"
# mutants are a program with more kernels
normbench=$mutants nb gate --counts --base "$program" --kernel '*_right__*,rmsnorm_fwd_naive__f32_scalar' --isa all --dtype f32 --hidden 8
expect "kernels that only one build has: exit 0, not $rc" [ "$rc" = 0 ]
finish
