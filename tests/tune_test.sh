#!/bin/bash
# tune_test.sh: a table of auto is measured, written, read and used; one from elsewhere or broken is refused and
# the defaults stand.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

nb list --json
isa=$(jq -r 'map(select(.algo == "auto" and .dtype == "f32" and .runnable)) | last | .isa' out)
expect "auto is listed" [ -n "$isa" ]
auto=rmsnorm_fwd_auto__f32_$isa plain=rmsnorm_fwd_onepass__f32_$isa naive=rmsnorm_fwd_naive__f32_$isa
usual=$plain # of one row
[ "$isa" = scalar ] || usual=${plain}_pipe

# ---- measured and written ----
nb tune --dtype f32 --hidden 64,128 --residency L1 --processes 6 --rounds 2 --quiet --out my.tune
expect "tune exits 0, not $rc" [ "$rc" = 0 ]
expect "says what it found" grep -qE '^tune +[0-9]+ comparisons, [0-9]+ choices' out
expect "and where it stands" grep -q -- '--tune my.tune' out
expect "the table names its CPU and caches" [ "$(grep -cE '^(cpu|caches|made) ' my.tune)" = 3 ]
expect "both ops have lines" [ "$(grep -cE '^(layernorm|rmsnorm) +f32 +L1 +64 ' my.tune)" -ge 2 ]
expect "more rows than two are one range: $(grep '^rmsnorm' my.tune)" grep -qE '^rmsnorm +f32 +L1 .* 3 +any rms' my.tune
expect "its end tells how many" [ "$(sed -n 's/^end //p' my.tune)" = "$(grep -cE '^(layernorm|rmsnorm)' my.tune)" ]
run=$(find results -maxdepth 1 -name 'tune-*')
expect "the run is kept" [ -s "$run/samples.jsonl" ]
fails 1 "exists already" tune --out my.tune
fails 1 "cannot write in" tune --out no/such/folder/my.tune
nb tune --resume "$run" --quiet --out again.tune
expect "the same run gives the same table: $rc" cmp my.tune again.tune

# ---- used ----
sed -n '1,/^# op/p' my.tune >head
{ cat head; echo "rmsnorm f32 L1 1 4096 1 any $naive 1 1.2"; echo "end 1"; } >other.tune
runs() { jq -r '.choices[] | select(.residency == "L1" and .rows_from == 1).runs' out; }
nb explain "$auto" --hidden 2048 --json
expect "by default the usual one: $(runs)" [ "$(runs)" = "$usual" ]
nb explain "$auto" --hidden 2048 --json --tune other.tune
expect "as tuned: $(runs)" [ "$(runs)" = "$naive" ]
NB_TUNE=other.tune nb explain "$auto" --hidden 2048
expect "the environment names one, too" grep -qE "L1 +$naive \(measured on this CPU\)" out
nb check --kernel "$auto" --hidden 768 --rows 2 --residency L1 --tune other.tune
expect "the tuned choice passes its check: $rc" [ "$rc" = 0 ]
for by in "--tune other.tune" ""; do
    # shellcheck disable=SC2086
    nb run --kernel "$auto" --hidden 768 --rows 2 --residency L1 --processes 1 --rounds 1 --quiet --out "r$by" $by
    expect "run $by exits 0, not $rc" [ "$rc" = 0 ]
done
expect "plan.json has path, hash and choices" \
    jq -e --arg n "$naive" '.tune | (.hash | length == 16) and (.path | endswith("/other.tune")) and (.choices[0] | endswith($n))' \
    "r--tune other.tune/plan.json" >jq.out
expect "the line that reproduces names it" grep -q -- "--tune '.*other.tune'" "r--tune other.tune/checks.jsonl"
expect "without one it is null" jq -e 'has("tune") and .tune == null' r/plan.json >jq.out

# ---- continued ----
nb run --resume "r--tune other.tune" --quiet
expect "a resumed run finds its table: $rc" [ "$rc" = 0 ]
fails 1 "was begun without" run --resume r --tune other.tune
fails 1 "is not the tune file" run --resume "r--tune other.tune" --tune my.tune
sed -i 's/1.2$/1.3/' other.tune
fails 1 "was changed since" run --resume "r--tune other.tune"

# ---- refused, and the defaults stand ----
# bad TEXT: what broken.tune is refused with, by each command
bad() {
    fails 1 "$1" check --hidden 64 --kernel "$auto" --tune broken.tune
    fails 1 "$1" explain "$auto" --tune broken.tune
    NB_TUNE=broken.tune fails 1 "$1" run --hidden 64 --kernel "$auto"
    expect "and nothing was begun" [ "$(find results -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
}
here=$(sed -n 's/^cpu //p' my.tune)
sed 's/^cpu .*/cpu Elsewhere family 1 model 2 stepping 3/' my.tune >broken.tune
bad "another CPU: Elsewhere family 1 model 2 stepping 3"
grep -qF "this one is $here" err
expect "and this one is named" [ $? = 0 ]
sed 's/^caches .*/caches l1d 1 l2 2 l3 3/' my.tune >broken.tune
bad "another CPU"
head -n -1 my.tune >broken.tune
bad 'ends without its "end" line'
sed "s/$plain/rmsnorm_fwd_magic__f32_$isa/" my.tune >broken.tune
bad "this program has no kernel \"rmsnorm_fwd_magic__f32_$isa"
head -c 5000 /dev/urandom >broken.tune
nb check --hidden 64 --kernel "$auto" --tune broken.tune
expect "random bytes are refused: $rc" [ "$rc" = 1 ]
rm broken.tune
bad "No such file"
fails 1 "larger than" check --hidden 64 --kernel "$auto" --tune /dev/zero
nb explain "$auto" --hidden 2048 --json
expect "the defaults stand: $(runs)" [ "$(runs)" = "$usual" ]
finish
