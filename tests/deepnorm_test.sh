#!/bin/bash
# deepnorm_test.sh: the constants of DeepNorm as published, the formulas printed beside them, and bad input.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"

# row STACK N M ALPHA BETA: the table in out has it
row() { expect "$*" grep -qE "^$1 +$2 +$3 +$4 +$5 " out; }
# rows COUNT: the table in out has so many, of stacks that are known
rows() { expect "$1 rows" [ "$(grep -cE '^(encoder|decoder) (only|of both) +[0-9-]+ +[0-9-]+ +[0-9.]+ ' out)" = "$1" ]; }

while read -r depth alpha beta; do
    nb deepnorm --encoder "$depth"
    expect "--encoder $depth exits 0, not $rc" [ "$rc" = 0 ]
    rows 1
    row "encoder only" "$depth" - "$alpha" "$beta"
    nb deepnorm --decoder "$depth"
    rows 1
    row "decoder only" - "$depth" "$alpha" "$beta"
    nb deepnorm
    row "encoder only" "$depth" - "$alpha" "$beta"
    row "decoder only" - "$depth" "$alpha" "$beta"
done <<'END'
6 1.861210 0.379918
12 2.213364 0.319472
18 2.449490 0.288675
24 2.632148 0.268642
100 3.760603 0.188030
1000 6.687403 0.105737
END

while read -r n m encoder_alpha encoder_beta decoder_alpha decoder_beta; do
    nb deepnorm --encoder "$n" --decoder "$m"
    expect "$n-$m exits 0, not $rc" [ "$rc" = 0 ]
    rows 2
    row "encoder of both" "$n" "$m" "$encoder_alpha" "$encoder_beta"
    row "decoder of both" "$n" "$m" "$decoder_alpha" "$decoder_beta"
done <<'END'
12 6 1.686222 0.417916 2.059767 0.343295
18 18 1.998746 0.352571 2.710806 0.260847
500 500 5.648240 0.124765 6.223330 0.113622
END

nb deepnorm
rows 24
for pair in 6 12 18 24 100 500; do
    row "encoder of both" $pair $pair '[0-9.]+' '[0-9.]+'
    row "decoder of both" $pair $pair '[0-9.]+' '[0-9.]+'
done
for text in 'LN(alpha*x_l + f_l(x_l))' 'residual branch x_l before LayerNorm' \
    'gain of the initial weights of the feed-forward, value and output' 'arXiv:2203.00555'; do
    expect "text says: $text" grep -qF -- "$text" out
done
expect "columns are aligned" [ "$(grep -E ' only| of both' out | grep -obE '0\.[0-9]{6} ' | wc -l)" = 24 ]
cp out table

# each formula gives the number beside it: awk reads it once its products are written out
nb deepnorm --json
expect "--json exits 0, not $rc" [ "$rc" = 0 ]
jq -r '.rows[] | . as $r | ("alpha", "beta") |
    [$r.encoder_layers, $r.decoder_layers, $r[.], $r[. + "_formula"]] | @tsv' out |
    while IFS=$'\t' read -r n m value formula; do
        product=$(sed -E 's/([0-9NM)]) *([(NM])/\1*\2/g' <<<"$formula")
        awk -v N="$n" -v M="$m" "BEGIN { d = ($product) / $value - 1; exit !(d * d < 1e-24) }" ||
            echo "$formula is not $value at N $n, M $m"
    done >differ
expect "$(head -1 differ)" [ ! -s differ ]

# the update of a model does not grow with depth
close() { expect "$1" jq -e "[.rows[] | select($2) | ($3) - 1 | fabs] | length > 0 and max < 1e-12" out >jq.out; }
close "2N * 2 beta^2/alpha^2 = 1, encoder only" '.stack == "encoder only"' '4 * .encoder_layers * pow(.beta / .alpha; 2)'
close "2M * 2 beta^2/alpha^2 = 1, decoder only" '.stack == "decoder only"' '4 * .decoder_layers * pow(.beta / .alpha; 2)'
close "3M * 2 beta^2/alpha^2 = 1, decoder of both" '.stack == "decoder of both"' \
    '6 * .decoder_layers * pow(.beta / .alpha; 2)'
close "alpha beta = 0.81 * 0.87, encoder of both" '.stack == "encoder of both"' '.alpha * .beta / (0.81 * 0.87)'

# JSON has what the text has
expect "JSON has the words" jq -e \
    '.schema == 1 and all(.rule, .alpha, .beta, .source; length > 0)' out >jq.out
jq -r 'def layers: if . == 0 then "-" else . end; .rows[] |
    [.stack, (.encoder_layers | layers), (.decoder_layers | layers), .alpha, .beta, .alpha_formula, .beta_formula] |
    @tsv' out |
    while IFS=$'\t' read -r stack n m alpha beta alpha_formula beta_formula; do
        printf '%s %s %s %.6f %.6f %s %s\n' "$stack" "$n" "$m" "$alpha" "$beta" "$alpha_formula" "$beta_formula"
    done >from_json
grep -E ' only| of both' table | tr -s ' ' >from_text
expect "JSON and text are one table" cmp -s from_json from_text
nb deepnorm --json --decoder 24
expect "JSON of one depth has one row" jq -e '.rows | length == 1 and .[0].decoder_layers == 24' out >jq.out

nb deepnorm --encoder 1000000 --decoder 1000000
expect "the deepest exits 0, not $rc" [ "$rc" = 0 ]
nb deepnorm --encoder 1
row "encoder only" 1 - 1.189207 0.594604

# bad input: one line with option, value and range
refuses() { # refuses TEXT ARGS...
    fails 1 "$@"
    shift
    expect "nothing but the message: $*" [ ! -s out ]
    expect "one line: $*" [ "$(wc -l <err)" = 1 ]
}
for option in --encoder --decoder; do
    for value in 0 -3 +3 2.5 1e3 12x "" " 6" 1000001 99999999999999999999999; do
        refuses "$option: \"$value\" is not a whole number from 1 to 1000000" deepnorm $option "$value"
    done
done
refuses '--decoder: "0" is not' deepnorm --encoder 6 --decoder 0
refuses 'unexpected word "18"; depths are --encoder N and --decoder M, whole numbers from 1 to 1000000' deepnorm 18 24
refuses 'unexpected word "more"' deepnorm --encoder 18 more
fails 1 "requires an argument" deepnorm --encoder
fails 1 "unrecognized option" deepnorm --depth 6

nb deepnorm --help
expect "--help exits 0, not $rc" [ "$rc" = 0 ]
expect "--help has two examples" [ "$(grep -c '^  normbench deepnorm ' out)" = 2 ]
sed -n 's/^  normbench \(deepnorm [^#]*\).*/\1/p' out >examples
while read -r example; do
    # shellcheck disable=SC2086 # words of a command
    nb $example
    expect "its example works: $example" [ "$rc" = 0 ]
done <examples
nb --help
expect "the program's help lists it" grep -q '^  deepnorm ' out
fails 1 "deepnorm" dance

"$normbench" deepnorm 2>err </dev/null | cat >piped
expect "through a pipe: the same table" cmp -s piped table
expect "a reader that stops early gets its line" [ "$("$normbench" deepnorm --encoder 6 | head -1 | cut -d' ' -f1)" = stack ]
"$normbench" deepnorm >/dev/full 2>err
expect "a full disk is an error: $?" [ $? = 1 ]
finish
