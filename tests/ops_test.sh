#!/bin/bash
# ops_test.sh: what the program knows of an op stands in few places. Beside them no source names one: neither the word nor its
# NB_OP_ constant, but for layernorm and rmsnorm, which the program is about, and the ceilings. $2: the sources.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
sources=$(readlink -f "$2")

# The tables: the enum, the facts of each op, its words and the help of its options; and templates, which are its mathematics.
# Not C sources: kernels.def, auto.def, explain.def, selection.def, *.inc.
tables='kernels/nb_kernel.h kernels/registry.c'
# What else names one, and why.
allowed() {
    case $1:$2 in
    harness/cli.c:deepnorm | harness/deepnorm_cli.[ch]:deepnorm) ;; # a command of that name, which prints a published table
    harness/select.c:NB_OP_PRMSNORM) ;;                             # one of the two speedups that are told where nobody asks
    *) return 1 ;;
    esac
}

# uses DIR: FILE WORD of each line of code, comments and includes aside, that names an op
uses() {
    (cd "$1" && for file in harness/*.[ch] kernels/*.[ch]; do
        [[ " $tables " == *" $file "* ]] ||
            sed -e '/^#include/d' -e 's,/\*.*\*/,,' -e '/\/\*/,/\*\//d' "$file" | grep -owE "$words" | sort -u | sed "s,^,$file ,"
    done)
}
strangers() {
    uses "$1" | while read -r file word; do
        allowed "$file" "$word" || echo "$file: $word"
    done
}

ops=$("$normbench" list --json | jq -r 'map(.op)|unique[]' | grep -vxE 'copy|scale|affine|triad|layernorm|rmsnorm')
expect "there are others: $(tr '\n' ' ' <<<"$ops")" [ "$(wc -w <<<"$ops")" -ge 9 ]
words=$(for op in $ops; do printf '%s|NB_OP_%s|' "$op" "${op^^}"; done)
words=${words%|}
strangers "$sources" >found
expect "no source names an op but the tables; these do: $(paste -sd, found)" [ ! -s found ]
expect "what is allowed is there" [ "$(uses "$sources" | wc -l)" -ge 2 ]

# planted, each is found; in a comment none is
mkdir -p planted/harness planted/kernels
printf 'int f(int op)\n{\n    return op == NB_OP_GROUPNORM;\n}\n' >planted/harness/a.c
printf '/* as groupnorm\n * and qknorm do */\nstatic const char *const title = "qknorm"; /* not dyt */\n' >planted/kernels/b.h
expect "a constant and a word are found: $(strangers planted | paste -sd,)" \
    [ "$(strangers planted | paste -sd,)" = "harness/a.c: NB_OP_GROUPNORM,kernels/b.h: qknorm" ]
finish
