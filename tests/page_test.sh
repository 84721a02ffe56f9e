#!/bin/bash
# page_test.sh: `report --html`: what a page holds, that its numbers are those of the report, how long it takes, and what it
# does with files that are broken or mean harm. $2: the root of the sources. $3: sanitizers, if any.
# shellcheck source=tests/page_common.sh
. "$(dirname "$0")/page_common.sh"
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
results=$2/results sanitize=${3:-} # $2 is absolute
big=$results/2026-11-21-xeon-guest-default claims=$results/2026-11-22-xeon-guest-claims

nb run --kernels headline --dtype f32,bf16 --hidden 64,256 --residency L1,L2 --processes 6 --rounds 2 --out run --quiet
expect "a small run" [ "$rc" = 0 ]
accuracy_folder accuracy
gate_folder gate
claims_folder claims

# page NAME DIR...: the folders as NAME.html
page() {
    local name=$1
    shift
    nb report "$@" --html "$name.html"
    expect "exit 0, not $rc: $*" [ "$rc" = 0 ]
}
count() { LC_ALL=C grep -oF -- "$1" "$2" | wc -l; }

# ---- what is on it ----
ls -lR --time-style=full-iso run >before
page all run claims accuracy gate
expect "nothing in the folders is written" diff -q before <(ls -lR --time-style=full-iso run)
expect "it says where the page is" grep -q '^page  *all.html' out
expect "a document" [ "$(head -2 all.html | tr '\n' ' ')" = '<!DOCTYPE html> <html lang="en"> ' ]
expect "its end" [ "$(tail -1 all.html)" = '</html>' ]
expect "one heading of all" [ "$(count '<h1' all.html)" = 1 ]
for section in hidden speedups fastest every roofs checks counters noise unresolved discards conditions published host reproduce quote; do
    expect "a run has the section $section" grep -q "<section id=\"p1-$section\"" all.html
done
expect "claims, accuracy and gate are there" [ "$(grep -oE '<section id="p[234]-(claims|accuracy1|gate)"' all.html | wc -l)" = 3 ]
for verdict in REPRODUCED REFUTED CONDITIONAL 'NOT RESOLVED' 'NOT TESTABLE' UNTRIED; do
    expect "a claim $verdict" grep -q ">$verdict</td>" all.html
done
page alone claims
expect "what is not given is left out" [ "$(grep -c 'section id' alone.html)" = 1 ]
expect "claims alone have their verdict first" grep -q '<h1 id="p1-top">6 claims about norms, tried: 1 reproduced, 1 refuted' alone.html
page turned gate claims run
expect "a run goes first, whatever the order" grep -q '<h1 id="p1-top">RMSNorm' turned.html
page again run claims accuracy gate
expect "same folders, same bytes" cmp -s all.html again.html
expect "no place of this machine" bash -c '! grep -qF "$1" all.html' - "$work/"
expect "nothing is loaded" [ "$(grep -oE '(src|href|action)="[^#"]*"' all.html | sort -u)" = 'href="data:,"' ]
expect "no style and no handler in an attribute" bash -c '! grep -qE "<[^>]* (style|on[a-z]+)=" all.html'

# the policy knows the script and the style by their hashes
hash_of() { # ELEMENT: base64 of the SHA-256 of what stands in it
    printf '%b' "$(awk -v a="<$1>" -v b="</$1>" '{s = s $0 "\n"} END {i = index(s, a) + length(a); j = index(s, b); printf "%s", substr(s, i, j - i)}' \
        all.html | sha256sum | cut -c1-64 | sed 's/../\\x&/g')" | base64
}
for element in style script; do
    expect "the hash of its $element: $(hash_of $element)" grep -qF "$element-src 'sha256-$(hash_of $element)'" all.html
done
expect "nothing else may load or run" grep -qF "default-src 'none'" all.html
expect "nor may anything inline" bash -c '! grep -q "unsafe-" all.html'
if command -v tidy >/dev/null; then
    expect "it validates: $(tidy -q -e all.html 2>&1 | head -3)" tidy -q -e all.html
fi

# ---- its numbers are those of the report ----
nb report run
ratios() { grep -oE '[0-9]+\.[0-9]{3} \[[0-9.]+, [0-9.]+\]' "$1" | sort -u; }
section() { sed -n "/^## $1/,/^## /p" "$2"; }
ratios <(section Speedups run/report.md) >report.ratios
ratios all.html >page.ratios
expect "there are ratios" [ "$(wc -l <report.ratios)" -ge 6 ]
expect "every ratio of report.md is on the page" [ -z "$(comm -23 report.ratios page.ratios)" ]
expect "and every ratio of the page is in report.md" [ -z "$(grep -oE 'class="n">[0-9]+\.[0-9]{3} \[[0-9.]+, [0-9.]+\]' all.html |
    grep -oE '[0-9]+\.[0-9]{3} \[.*' | sort -u | comm -13 report.ratios -)" ]
page big "$big" "$claims"
headline=$(awk -F, 'NR==1{for(i=1;i<=NF;i++)c[$i]=i;next}
    $c["pairing"]=="best-of-each" && $c["base_op"]=="layernorm" && $c["test_op"]=="rmsnorm" {n[$c["verdict"]]++}
    END {printf "RMSNorm is faster than LayerNorm in %d of %d cases, slower in %d; %d are too close to call", n["faster"],
         n["faster"]+n["slower"]+n["unresolved"], n["slower"], n["unresolved"]}' "$big/speedup.csv")
expect "the verdict counts speedup.csv: $headline" grep -qF "<h1 id=\"p1-top\">$headline</h1>" big.html
expect "its ratios are those of the report that was kept" [ -z "$(comm -23 <(ratios <(section Speedups "$big/report.md")) <(ratios big.html))" ]
# a tile a residency: their counts add up to the verdict
expect "the tiles add up" [ "$(grep -oE 'faster in [0-9]+ of [0-9]+' big.html | awk '/in/{f+=$3;n+=$5} END{print f " of " n}')" = \
    "$(grep -oE '[0-9]+ of [0-9]+' <<<"$headline" | head -1)" ]

# ---- size and time ----
expect "less than 3 MB: $(stat -c %s big.html)" [ "$(stat -c %s big.html)" -lt 3000000 ]
if [ -z "$sanitize" ]; then # of CPU, for this machine may be busy with other tests
    TIMEFORMAT='%U %S'
    took=$({ time "$normbench" report "$big" "$claims" --html timed.html >/dev/null; } 2>&1)
    expect "less than 2 s: $took" awk '{exit !($1 + $2 < 2)}' <<<"$took"
    page five "$big" "$big" "$big" "$big" "$big"
    expect "of much less than 3 MB too: $(stat -c %s five.html)" [ "$(stat -c %s five.html)" -lt 3000000 ]
    expect "it says what it leaves out" grep -q 'more rows would make this page too large' five.html
fi

# ---- texts that mean harm ----
cp -r run harm
poison_run harm
cp -r claims harmclaims
poison harmclaims/claims.json verdict
cp -r gate harmgate
poison harmgate/gate.json verdict
cp -r accuracy harmaccuracy
awk -F, -v OFS=, -v h="$(tr -d '\n\t' <<<"$hostile" | sed 's/"/""/g; s/\\/\\\\/g; s/&/\\&/g')" \
    'NR>1{$2="\"" $2 h "\""; $5="\"" $5 h "\""; $8="\"" $8 h "\""} {print}' accuracy/accuracy.csv >harmaccuracy/accuracy.csv
page harm harm harmclaims harmgate harmaccuracy
expect "the verdict is still there" grep -q '<h1 id="p1-top">RMSNorm is faster than LayerNorm in .* cases' harm.html
expect "one script, and it is ours" [ "$(count '<script' harm.html)" = 1 ]
tags() { LC_ALL=C grep -oE '</?[a-zA-Z!][a-zA-Z0-9]*' "$1" | sort -u; }
expect "no element that other pages do not have: $(comm -13 <(tags all.html) <(tags harm.html) | tr '\n' ' ')" \
    [ -z "$(comm -13 <(tags all.html) <(tags harm.html))" ]
expect "it is shown as text" [ "$(count '&lt;script&gt;alert(1)&lt;/script&gt;' harm.html)" -gt 100 ]
for kernel in 'harm' harmclaims harmgate harmaccuracy; do
    page one "$kernel"
    expect "of $kernel, too" grep -q '&lt;script&gt;alert(1)' one.html
done
expect "no control character" bash -c '! LC_ALL=C grep -qP "[\x00-\x08\x0b-\x1f\x7f]" harm.html'
expect "no turned writing" bash -c "! LC_ALL=C grep -qE \$'\xe2\x80\xae|\xe2\x81\xa6' harm.html"
expect "no quote ends an attribute" bash -c '! grep -qE "=\"[^\"]*(alert|cmd)[^\"]*\"" harm.html'
if command -v tidy >/dev/null; then
    expect "it validates: $(tidy -q -e harm.html 2>&1 | head -3)" tidy -q -e harm.html
fi
nb report harm
expect "exit 0 for the report of it, not $rc" [ "$rc" = 0 ]
expect "nothing of it reaches the terminal" bash -c '! LC_ALL=C grep -qP "[\x1b\x07]|\xe2\x80\xae" out'
expect "no formula in a cell" bash -c '! grep -qE "(^|,)=|(^|,)\"=" harm/results.csv harm/speedup.csv'

# ---- where it may not be written ----
refused() { # TEXT TARGET: exit 1, and nothing is left there
    fails 1 "$1" report run --html "$2"
    expect "no part of a page is left" [ -z "$(find . -name '*.part')" ]
}
refused 'cannot write in ./nowhere/' ./nowhere/page.html
mkdir folder
refused 'is a folder' folder
refused 'names a folder' folder/
refused 'is no page of normbench' /dev/full
cp run/plan.json kept
refused 'is no page of normbench' run/plan.json
expect "plan.json is as it was" cmp -s kept run/plan.json
(
    trap '' XFSZ
    ulimit -f 8
    "$normbench" report run --html full.html >out 2>err
)
expect "a full disk is an error: $?" [ $? = 1 ]
expect "and leaves no page" [ ! -e full.html ]
expect "and no part of one" [ -z "$(find . -name '.full.html*')" ]

# ---- folders that cannot be read: nothing is overwritten ----
cp all.html kept
broken() { # TEXT DIR...
    local text=$1
    shift
    fails 1 "$text" report "$@" --html all.html
    expect "the page of before is as it was" cmp -s kept all.html
}
broken 'nodir: No such file' nodir
broken 'holds no result' folder
broken 'kept: no folder' kept
broken 'holds no result' run folder
copy() { rm -rf copy && cp -r "$1" copy; }
copy run && rm copy/samples.jsonl
broken 'samples.jsonl: No such file' copy
copy run && head -c 3000 run/plan.json >copy/plan.json
broken 'copy/plan.json' copy
copy run && sed -i 's/"schema": *1/"schema": 7/' copy/plan.json
broken 'use a newer normbench' copy
edit() { # FROM TO: in the first round of samples.jsonl
    copy run && sed -i "0,/\"ns\":\[[^,]*,/s//\"ns\":[$1,/" copy/samples.jsonl
}
for time in 1e308 -5 NaN 0; do
    edit "$time"
    broken 'samples.jsonl' copy
done
copy run && sed -i '1s/{/{"host":"a","host":"b",/' copy/host.json
broken 'duplicate' copy
copy run && truncate -s -20 copy/samples.jsonl # cut off in mid-line: as a killed run leaves it
page cut copy
change() { # FILE FILTER: of claims or gate
    copy "$1" && jq "$2" "$1/$1.json" >"copy/$1.json"
}
change claims '.claims[0].verdict = "MAYBE"'
broken 'claims[0]: its verdict is none of REPRODUCED' copy
change claims '.claims[1].id = .claims[0].id'
broken 'claims[1]: its id stands there twice' copy
change claims '.claims[2].cells.holds = -1'
broken 'claims[2]: "cells" must count' copy
change claims 'del(.claims)'
broken '"claims" is missing' copy
change claims '.schema = 2'
broken 'use a newer normbench' copy
change gate '.comparisons[0].hi = 1e308'
broken '"hi" is no logarithm' copy
change gate '.exit_code = 9'
broken '"exit_code" is none of 0 to 4' copy
copy accuracy && head -1 accuracy/accuracy.csv >copy/accuracy.csv
broken 'holds no result: only the header' copy

# ---- the command ----
fails 1 usage report
fails 1 usage report --html page.html
fails 1 'unrecognized option' report --htm1 x run
nb report --help
expect "help tells of the page" grep -q -- '--html=FILE' out
finish
