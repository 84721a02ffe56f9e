#!/bin/bash
# claims_test.sh: claims as a user tries them: the registry that comes with the program, one of our own in which facts are planted, the
# command line's own claims, bad input, a pipe, Ctrl-C. $2: the source tree.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
source=$2

# ---- the registry of the program ----
nb list claims
expect "list claims exits 0, not $rc" [ "$rc" = 0 ]
expect "one line a claim" [ "$(wc -l <out)" = "$(find "$source/reference/claims" -name '*.claim' | wc -l)" ]
nb list claims --json
expect "list claims --json" jq -e 'length > 0 and all(.[]; .id and .title and (.untestable or (.experiments | length > 0)))' out >jq.out
nb list experiments
expect "experiments with quantities" grep -q '^  observes  *output_mean' out
expect "and parameters with defaults" grep -qE '^    sd +1e-3,1,1e3 ' out
nb list experiments --json
expect "list experiments --json" jq -e 'any(.[]; .name == "row_statistics" and any(.parameters[]; .name == "hidden" and .least == 2))' out >jq.out
fails 1 'list claims: unknown word "--jsn"' list claims --jsn
nb claims --id C05,C01 --out real
expect "two real claims exit 0, not $rc" [ "$rc" = 0 ]
expect "in the order asked for" [ "$(grep -oE '^C0[15] +[A-Z]+' out | tr -s ' ' | tr '\n' ';')" = "C05 REPRODUCED;C01 CONDITIONAL;" ]
expect "C01 depends on eps" grep -qE 'holds where .*eps=0' out
expect "where the files are" grep -q '^files in real: claims.md, claims.json' out
expect "JSON of it" jq -e '.schema == 1 and .seed == 1 and .interrupted == false and (.runs | length) == 2 and
    all(.claims[]; .verdict and .repro and (.tests | length > 0)) and all(.runs[].observations[]; .low <= .value and .value <= .high)' real/claims.json >jq.out
expect "cells name observations of their quantity" jq -e '. as $r | all(.claims[].tests[]; . as $t | (.cells | length > 0) and
    all(.cells[]; $r.runs[$t.run].observations[.observation].quantity == $t.quantity))' real/claims.json >jq.out
expect "host.json" jq -e '.cpu and .before and .after' real/host.json >jq.out
expect "claims.md has a section each" [ "$(grep -c '^## C0[15]: ' real/claims.md)" = 2 ]
nb claims --id C17a,C17b,C17c,C18c --quick --out split
expect "an open answer to one statement hides none to another: $(jq -c '[.claims[].verdict]' split/claims.json)" \
    [ "$(jq -c '[.claims[].verdict]' split/claims.json)" = '["CONDITIONAL","REPRODUCED","REPRODUCED","REFUTED"]' ]
mkdir arithmetic
sed '/^\[test by_layer\]/,/^$/d' "$source/reference/claims/C09.claim" >arithmetic/C09.claim
nb claims --registry arithmetic --out jacobian
expect "a derivative that is larger by 1/(2n) is larger: $(jq -c '.claims[0].regime' jacobian/claims.json)" [ "$(jq -c '.claims[0].regime' jacobian/claims.json)" = '"mean=0, not >=1"' ]
nb claims --id C06 --out scans
expect "one half of C06 holds: $(jq -c '.claims[0].regime' scans/claims.json)" [ "$(jq -c '.claims[0].regime' scans/claims.json)" = '"op=rmsnorm, not layernorm"' ]
repro=$(jq -r '.claims[] | select(.id == "C05") | .repro' real/claims.json)
# shellcheck disable=SC2086 # words of a command
nb ${repro#normbench } --out again
expect "its repro line gives the same verdict" [ "$(jq -c '[.claims[] | {id, verdict}]' again/claims.json)" = '[{"id":"C05","verdict":"REPRODUCED"}]' ]
expect "and the same observations" [ "$(jq -c '.runs[0].observations' again/claims.json)" = "$(jq -c '.runs[] | select(.parameters.op == "rmsnorm").observations' real/claims.json)" ]
nb claims --id C05 --seed 2 --out seed
expect "another seed, other rows" [ "$(jq -c '.runs[0].observations' seed/claims.json)" != "$(jq -c '.runs[0].observations' again/claims.json)" ]

# ---- facts that are planted: the verdict follows them ----
mkdir registry
# plant ID PARAMETERS HOLDS [WHERE]: a claim about the mean that a norm leaves
plant() {
    {
        printf '[claim]\nid = %s\ntitle = planted\nstatement = s\nsource = a <test> | `x`\nrefuted_by = r\nwhy = w\n%s\n[test a]\n' "$1" "${5:-}"
        printf 'experiment = row_statistics\n%s\nquantity = output_mean\nholds = %s\n' "$2" "$3"
        [ -z "${4:-}" ] || printf 'where = %s\n' "$4"
    } >"registry/$1.claim"
}
# verdict ID VERDICT [TEXT]: in out
verdict() {
    expect "$1 is $2: $(grep -m 1 "^$1" out)" grep -qE "^$1 +$2 " out
    [ -z "${3:-}" ] || expect "$1 says $3" grep -qF -- "$3" out
}
plant P1 $'op = rmsnorm\nmean = 1,5\nsd = 1' '>= 0.1'
plant P2 $'op = layernorm\nmean = 1,5\nsd = 1' '>= 0.1' '' 'against = P1' # the other norm: it does centre
plant P3 $'op = layernorm,rmsnorm\nmean = 1,5\nsd = 1' '>= 0.1'
plant P4 $'op = rmsnorm\nmean = 0\nsd = 1' 'in [-0.025, 0.025]' # a mean of 0 by 1024 elements: as far off as the sampling
plant P5 $'op = rmsnorm\nmean = 0,1,5\nsd = 1' '>= 0.1' 'mean>=1'      # where leaves out what fails
plant P6 $'op = rmsnorm\nmean = 0,1,5\nsd = 1' '>= 0.1'
plant P7 $'op = rmsnorm\nmean = 1,5\nsd = 1' 'outside [0.5, 1]'
printf '[claim]\nid = P8\ntitle = t\nstatement = s\nsource = x\nwhy = w\n[untestable]\nreason = needs the <data>\n' >registry/P8.claim
nb claims --registry registry --out planted
expect "planted claims exit 0, not $rc" [ "$rc" = 0 ]
verdict P1 REPRODUCED
verdict P2 REFUTED
verdict P3 CONDITIONAL 'holds where op=rmsnorm, not layernorm'
verdict P4 'NOT RESOLVED' '1 of 1 cells are open'
verdict P5 REPRODUCED
verdict P6 CONDITIONAL 'holds where mean>=1, not 0'
verdict P7 REFUTED
verdict P8 'NOT TESTABLE' 'needs the <data>'
expect "contradictions stand side by side" grep -q '^claims that contradict each other' out
expect "and are decided" grep -qxF '  P1 holds; P2 does not hold: this is decided' out
sed -i 's/^against = .*/against = P6/' registry/P2.claim
nb claims --registry registry --id P2,P6 --out conditional
expect "of one that is conditional the conditions are told" grep -qxF '  P2 does not hold; P6 holds where mean>=1, not 0' out
expect "also in claims.md" grep -qF '| P2 does not hold; P6 holds where mean&gt;=1, not 0 |' conditional/claims.md
expect "claims.md says how much wider intervals were" grep -qE '^- cells disagree: .* widened 1\.31 times for 3 cells$' conditional/claims.md
sed -i 's/^against = .*/against = P1/' registry/P2.claim
nb claims --registry registry --out planted_again
expect "counted" grep -q '2 REPRODUCED, 2 REFUTED, 2 CONDITIONAL, 1 NOT RESOLVED, 1 NOT TESTABLE' out
expect "equal parameters are run once: $(jq '.runs | length' planted/claims.json)" [ "$(jq '.runs | length' planted/claims.json)" = 5 ]
expect "markup is escaped" grep -qF 'a &lt;test&gt; \| \`x\`' planted/claims.md
expect "no claim is marked up" [ "$(grep -c '<test>' planted/claims.md)" = 0 ]
plant P9 $'op = rmsnorm\nmean = 0,1,2,3,4,5\nsd = 0.5,1,2\neps = 0,1e-5' '>= 0.5' # most hold, and not all are shown
nb claims --registry registry --id P9 --out shown
expect "the table counts a test's cells" grep -qF '(>= 0.5): 30 hold, 6 fail' out
expect "and claims.md" grep -qF '; 30 hold, 6 fail' shown/claims.md
expect "12 of the 30 that hold are shown, and all of the 6 that fail" [ "$(grep -oE '\| (holds|fails) \|$' shown/claims.md | uniq -c | tr -s ' \n' ' ')" = ' 6 | fails | 12 | holds | ' ]
expect "and how many are not" grep -q '^And 18 more' shown/claims.md
rm registry/P9.claim
plant P1 $'op = layernorm\nmean = 1,5\nsd = 1' '>= 0.1'
nb claims --registry registry --id P1 --out flipped
verdict P1 REFUTED
plant P1 $'op = rmsnorm\nmean = 1,5\nsd = 1' '>= 0.1'
cp -r registry other
NB_CLAIMS_DIR=other nb claims --id P8 --out by_variable
expect "NB_CLAIMS_DIR names a registry" [ "$rc" = 0 ]
expect "its repro line names it, too" [ "$(jq -r '.claims[0].repro' by_variable/claims.json)" = "normbench claims --id P8 --registry other" ]
cp -r registry "a registry that isn't short: $(printf 'x%.0s' $(seq 150))"
nb claims --registry a\ reg* --id P8 --seed 5 --out quoted
again=$(jq -r '.claims[0].repro' quoted/claims.json)
expect "a shell reads it back" eval "nb ${again#normbench } --out requoted; [ \$rc = 0 ]"
expect "and it is the same line" [ "$(jq -r '.claims[0].repro' requoted/claims.json)" = "$again" ]

# ---- a claim of one's own ----
nb claim 'output_mean(rmsnorm) >= 0.5 where mean=1 and sd=1' --out a1
expect "it holds: 0, not $rc" [ "$rc" = 0 ]
verdict ask REPRODUCED
expect "its repro line leaves out the folder" [ "$(jq -r '.claims[0].repro' a1/claims.json)" = "normbench claim 'output_mean(rmsnorm) >= 0.5 where mean=1 and sd=1'" ]
expect "only what was asked is run" [ "$(jq -c '.runs[0] | [.parameters.op, .parameters.mean, (.observations | length)]' a1/claims.json)" = '["rmsnorm","1",3]' ]
nb claim 'output_mean(layernorm) >= 0.5 where mean=1 and sd=1' --out a2
expect "refuted: 3, not $rc" [ "$rc" = 3 ]
verdict ask REFUTED
nb claim 'output_mean(layernorm|rmsnorm) >= 0.5 where mean=1 and sd=1' --out a3
expect "conditional: 4, not $rc" [ "$rc" = 4 ]
verdict ask CONDITIONAL 'op=rmsnorm, not layernorm'
nb claim 'output_mean(rmsnorm) in [-2.5%, 2.5%] where mean=0 and sd=1' --out a4
expect "not resolved: 4, not $rc" [ "$rc" = 4 ]
verdict ask 'NOT RESOLVED'
nb claim 'output_mean(rmsnorm) >= 0.5 where mean=1 and sd=1' --json --out a5
expect "--json is claims.json and nothing else" cmp -s <(jq -S . out) <(jq -S . a5/claims.json)
nb claim 'output_mean(rmsnorm) >= 0.5 where mean=1 and sd=1' --quiet --out a6
expect "--quiet says nothing" [ ! -s out ]
expect "nor on stderr" [ ! -s err ]
fails 1 'no experiment observes "output_meen"' claim 'output_meen > 1'
expect "the mark stands under the word" grep -qxF '  ^^^^^^^^^^^' err
fails 1 'have no "hiden"; they have: op mean sd eps' claim 'output_mean > 1 where hiden=3' --out a7
expect "there, too" grep -qxF '                        ^^^^^^^' err
fails 1 'relation is missing' claim 'output_mean'
fails 1 'hidden: 1 is not a whole number' claim 'output_mean > 1 where hidden=1'
fails 1 'which one' claim
fails 1 'put it in quotes' claim output_mean '>=' 1
expect "no folder for a claim that is not understood" [ ! -d results ]

# ---- what experiments leave, and time ----
nb claim 'gradient_spread(pre, layernorm, 6) > 0 where seeds=3 and d=8 and weight=w1' --quick --out left
expect "an experiment's files have a folder" [ "$(jq -r '.runs[0].dir' left/claims.json)" = gradients_by_layer ]
expect "its data" [ -s left/gradients_by_layer/stack_gradients.dat ]
if gnuplot --version >/dev/null 2>&1; then
    expect "and its picture" [ -s left/gradients_by_layer/stack_gradients.svg ]
fi
fails 1 'do not do for these claims; at least' claim 'speedup(rmsnorm:layernorm) > 1' --budget 1s

# ---- an error late: the folder of the second experiment has too long a name, what was tried before it is kept ----
deep=$(printf './%.0s' $(seq 2036))longs # 4077 bytes: /row_statistics fits behind it, /deepnorm_constants does not
fails 1 'cannot make the folder' claims --id C05,C19 --quick --out "$deep"
expect "it says that there is something" grep -q 'what was finished is in' err
expect "what was finished is written" [ "$(jq -c '[.error[0:22], [.claims[].verdict]]' longs/claims.json)" = '["cannot make the folder",["REPRODUCED","UNTRIED"]]' ]

# ---- a child that a signal ends: valgrind kills who calls it ----
mkdir bin
printf '#!/bin/sh\nkill -KILL $PPID\nsleep 1\n' >bin/valgrind
chmod +x bin/valgrind
PATH=$PWD/bin:$PATH fails 1 'normbench count was ended by signal 9' claim 'instruction_ratio > 1 where hidden=64 and dtype=f32' --out killed
expect "which is no interruption" jq -e '.interrupted == false and .claims[0].verdict == "NOT TESTABLE"' killed/claims.json >jq.out

# ---- bad input ----
fails 1 'exclude each other' claims --quick --full
fails 1 'unknown word "slow"; known: quick, default, full' claims --effort slow
fails 1 'there is no claim "C99"' claims --id C99
fails 1 'names no claim' claims --id ' ,'
fails 1 'not a whole number' claims --seed x
fails 1 'is not a time' claims --budget soon
fails 1 'exists already' claims --id C05 --out a1
fails 1 'cannot make the folder' claims --id C05 --out no/such/place
fails 1 'cannot read the folder of claims' claims --registry nowhere
fails 1 'chosen by --id' claims C05
mkdir none
fails 1 'no *.claim in none' claims --registry none
OMP_PROC_BIND=close fails 1 "OMP_PROC_BIND is set" claims --id C05
# broken WHAT SED: a registry in which P3 is spoilt
broken() {
    rm -rf bad && cp -r registry bad && sed -i "$2" bad/P3.claim
    fails 1 "$1" claims --registry bad --out bad_out
    rm -rf bad_out
}
broken 'bad/P3.claim:15: holds: "about" is no relation' 's/^holds = .*/holds = about 3/'
broken 'bad/P3.claim:14: quantity: row_statistics observes no "speed"' 's/^quantity = .*/quantity = speed/'
broken 'bad/P3.claim:8: unknown key "blak"' 's/^why = .*/why = w\nblak = 3/'
broken 'bad/P3.claim: against: there is no claim P9' 's/^why = .*/why = w\nagainst = P9/'
broken 'bad/P3.claim:2: id: "P4" is not the name of this file' 's/^id = .*/id = P4/'
broken 'bad/P3.claim: test a: where: observations of output_mean have no "hiden"' '$a where = hiden=3'
broken 'leaves none of 4 observations of output_mean; there are: op=layernorm mean=1' '$a where = mean=77'
rm -rf bad && cp -r registry bad && echo 'where = hiden=3' >>bad/P3.claim
nb claims --registry bad --out half
expect "the others are tried in spite of it" [ "$(jq '[.claims[] | select(.verdict == "REFUTED")] | length' half/claims.json)" = "$(jq '[.claims[] | select(.verdict == "REFUTED")] | length' planted/claims.json)" ]
expect "exit 1, not $rc" [ "$rc" = 1 ]

nb claims --id $'\e[31mC05\xc2\x9b\xe2\x80\xae'
expect "no escape of --id reaches the terminal" [ "$(grep -cP '[\x1b\x9b\xae]' err)" = 0 ]
rm -rf bad && cp -r registry bad && mkfifo bad/P9.claim
fails 1 'bad/P9.claim: is no regular file' claims --registry bad

# ---- how it is called ----
"$normbench" claims --registry registry --out piped 2>err | cat >piped.out
expect "plain in a pipe" [ "$(grep -c $'\x1b\|\r' piped.out err)" = "$(printf 'piped.out:0\nerr:0')" ]
expect "the same table" diff <(sed '/^files in/d' piped.out) <("$normbench" claims --registry registry --out piped2 2>/dev/null | sed '/^files in/d')
"$normbench" claims --registry registry --out full >/dev/full 2>err
expect "a full disk is an error: $?" [ $? = 1 ]
nb claims --registry registry --id P8 --quick
nb claims --registry registry --id P8 --quick
nb claims --registry registry --id 'P2  P8, P5' --out spaces
expect "spaces and commas stand between ids" [ "$(jq -c '[.claims[].id]' spaces/claims.json)" = '["P2","P8","P5"]' ]
expect "two in one second have folders of their own" [ "$(find results -mindepth 1 -maxdepth 1 -name 'claims-*Z*' | wc -l)" = 2 ]
plant P1 $'op = rmsnorm\nmean = '"$(seq -s, 1 64)"$'\nsd = '"$(seq -s, 1 64)"$'\neps = '"$(seq -s, 1 8)"$'\nhidden = 65536' '>= 0.1'
"$normbench" claims --registry registry --id P8,P1 --out stopped >out 2>err &
pid=$!
for _ in $(seq 100); do grep -q '^P8' out && break; sleep 0.1; done
kill -INT $pid
wait $pid
rc=$?
expect "Ctrl-C: 130, not $rc" [ $rc = 130 ]
expect "what was finished is written" [ "$(jq -c '[.interrupted, [.claims[].verdict]]' stopped/claims.json)" = '[true,["NOT TESTABLE","UNTRIED"]]' ]
nb claims --registry registry --id P8 --force --out forced
expect "--force is taken, and repeated in the repro line" [ "$(jq -r '.claims[0].repro' forced/claims.json)" = "normbench claims --id P8 --registry registry --force" ]
nb claim 'output_mean(rmsnorm) >= 0.5 where mean=1 and sd=1' --force --out forced_claim
expect "by claim, too: 0, not $rc" [ "$rc" = 0 ]
for list in claims experiments; do
    nb list $list --help
    expect "list $list --help" grep -q "^Usage: normbench list $list" out
done
nb --help
expect "the help lists claims and claim" [ "$(grep -cE '^  claims? ' out)" = 2 ]
for command in claims claim; do
    nb $command --help
    expect "$command --help has examples" grep -q "^  normbench $command " out
done
sed -n "s/^  normbench claim '\(.*\)'$/\1/p" out >examples
while IFS= read -r example; do
    nb claim "$example" --out "example$((example_count = ${example_count:-0} + 1))"
    expect "its example is understood: $example" [ "$rc" != 1 ]
done <examples
expect "there are two" [ "${example_count:-0}" = 2 ]

# ---- docs/claims.md is what the newest run in results/ says ----
kept=$(find "$source/results" -maxdepth 1 -name '*-claims' | sort | tail -n 1)
expect "a run is kept" [ -n "$kept" ]
expect "docs/claims.md is made of it: scripts/docs-claims results/$(basename "$kept") >docs/claims.md" \
    diff -q <("$source/scripts/docs-claims" "$kept") "$source/docs/claims.md"
page=$source/docs/claims.md
asked=$(grep '^\*\*This run asked otherwise' "$page")
is_told() { [ -f "$source/reference/claims/$1.claim" ] || grep -qw "$1" <<<"$asked"; }
for id in $(sed -n 's/^## \([A-Z][0-9]*[a-z]*\): .*/\1/p' "$page"); do
    expect "docs/claims.md: $id is a claim, or the page says that it was one" is_told "$id"
done
is_there() { grep -q "^## $1: " "$page" || grep -qw "$1" <<<"$asked"; }
for file in "$source"/reference/claims/*.claim; do
    id=$(basename "$file" .claim)
    expect "docs/claims.md has $id, or says that its run did not" is_there "$id"
done
finish
