#!/bin/bash
# ops_test.sh: what the program knows of an op, or of a number that is an op's own (a row of kernels/k.def), stands in few places.
# Beside them no source names one: neither the word nor its constant, but for layernorm and rmsnorm, which the program is
# about, and the ceilings. What groupnorm is made of is exactly the list of CONTRIBUTING.md. $2: the sources.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
sources=$(readlink -f "$2")

# The tables: the enum, the facts of each op. Templates, which are its mathematics, and the tables kernels.def, k.def,
# auto.def and explain.def are no sources here.
tables='kernels/nb_kernel.h kernels/registry.c'
# What else names one, and why.
allowed() {
    case $1:$2 in
    harness/cli.c:deepnorm | harness/deepnorm_cli.[ch]:deepnorm) ;;      # a command of that name, which prints a published table
    harness/select.c:NB_OP_PRMSNORM) ;;                                  # one of the two speedups that are told where nobody asks
    harness/selection.def:batchnorm | harness/selection.def:deepnorm) ;; # whom --momentum and --fuse are for, in their help
    harness/gate.c:head | harness/gate_*.c:head) ;;                      # the program that a gate judges,
    harness/options.h:NB_KEY_HEAD) ;;                                    # beside which the number has another name
    harness/gate_arm.c:groups | harness/plan.c:groups | harness/report_load.c:groups) ;; # of kernels measured in turns, in JSON
    *) return 1 ;;
    esac
}

# code FILE: without comments and includes
code() { sed -e '/^#include/d' -e 's,/\*.*\*/,,' -e '/\/\*/,/\*\//d' "$1"; }

# named FILE: each op and number that it names. A number's name is a word like others: it counts where a string is it, begins
# with it and a colon, or has it behind --.
named() {
    code "$1" | grep -owE "$words|NB_(K|KEY)_($keys)"
    code "$1" | grep -oE "\"($names)[\":]|--($names)[\"= ]" | sed -E 's/^("|--)//; s/.$//'
}

# uses DIR: FILE WORD of each that names one
uses() {
    (cd "$1" && for file in harness/*.[ch] harness/selection.def kernels/*.[ch]; do
        [[ " $tables " == *" $file "* || ! -e $file ]] || named "$file" | sort -u | sed "s,^,$file ,"
    done)
}
strangers() {
    uses "$1" | while read -r file word; do
        allowed "$file" "$word" || echo "$file: $word"
    done
}
# made_of DIR PATTERN: files of the program, tests and documentation aside, whose code has it
made_of() {
    (cd "$1" && find cmake court experiments fleet harness inspect kernels page reference -name '*.[ch]' -o -name '*.inc' -o -name '*.def' |
        sort | while read -r file; do code "$file" | grep -E "$2" >/dev/null && echo "$file"; done)
}

ops=$("$normbench" list --json | jq -r 'map(.op)|unique[]' | grep -vxE 'copy|scale|affine|triad|layernorm|rmsnorm')
expect "there are others: $(tr '\n' ' ' <<<"$ops")" [ "$(wc -w <<<"$ops")" -ge 9 ]
words=$(for op in $ops; do printf '%s|NB_OP_%s|' "$op" "${op^^}"; done)
words=${words%|}
numbers=$(sed -n 's/^NB_K(\([A-Z_]*\), "\([a-z-]*\)".*/\1 \2/p' "$sources/kernels/k.def")
expect "they have numbers: $(tr '\n' ' ' <<<"$numbers")" [ "$(wc -l <<<"$numbers")" -ge 4 ]
expect "every row of k.def was read" [ "$(grep -c '^NB_K(' "$sources/kernels/k.def")" = "$(wc -l <<<"$numbers")" ]
keys=$(cut -d' ' -f1 <<<"$numbers" | paste -sd'|')
names=$(cut -d' ' -f2 <<<"$numbers" | paste -sd'|')
strangers "$sources" >found
expect "no source names an op or its number but the tables; these do: $(paste -sd, found)" [ ! -s found ]
expect "what is allowed is there" [ "$(uses "$sources" | wc -l)" -ge 2 ]

made_of "$sources" '[gG]roupnorm|GROUPNORM|NB_K_GROUPS' | paste -sd' ' >parts
expect "groupnorm is made of its words, its templates, its number, its entries, its place in the enum and its facts: $(cat parts)" \
    [ "$(cat parts)" = "harness/explain.def kernels/algo/grouped_fwd.inc kernels/k.def kernels/kernels.def \
kernels/nb_kernel.h kernels/registry.c" ]

# planted, each is found; in a comment none is
mkdir -p planted/harness planted/kernels
printf 'int f(int op)\n{\n    return op == NB_OP_GROUPNORM;\n}\n' >planted/harness/a.c
printf '/* as groupnorm\n * and qknorm do */\nstatic const char *const title = "qknorm"; /* not dyt */\n' >planted/kernels/b.h
printf 'return kind == NB_K_GROUPS || key == NB_KEY_DEPTH; /* NB_K_HEAD "prefix" */\n' >planted/harness/c.c
printf 'fail("prefix: too long"), fail("no --head here"), parse("groups"), tell("depth of a stack", groups);\n' >planted/kernels/d.c
printf 'NB_SELECT_OPS(X, "depth", "LIST", "layers")\n' >planted/harness/selection.def
strangers planted | paste -sd, >found
expect "constants, words and options are found: $(cat found)" [ "$(cat found)" = "harness/a.c: NB_OP_GROUPNORM,harness/c.c: NB_KEY_DEPTH,\
harness/c.c: NB_K_GROUPS,harness/selection.def: depth,kernels/b.h: qknorm,kernels/d.c: groups,kernels/d.c: head,kernels/d.c: prefix" ]
finish
