#!/bin/bash
# claims_planted_test.sh: facts planted below the claims that come with the program flip their verdicts. $1: a program whose naive RMSNorm in
# scalar code takes 30 % longer where NB_SLOW is set; $2: the source tree.
# shellcheck source=tests/common.sh
. "$(dirname "$0")/common.sh"
cp -r "$2/reference/claims" registry

# verdict ID: of the registry as it is now; once a name
verdict() { jq -r ".claims[] | select(.id == \"$1\") | .verdict" "$2/claims.json"; }

# flips ID FROM TO SED: as it comes the verdict is FROM; with the change it is TO.
flips() {
    local id=$1 from=$2 to=$3 change=$4
    nb claims --quick --registry registry --id "$id" --out "right$id"
    expect "$id is $from: $(verdict "$id" "right$id")" [ "$(verdict "$id" "right$id")" = "$from" ]
    cp "registry/$id.claim" kept && sed -i "$change" "registry/$id.claim"
    expect "$id was changed" [ "$(diff kept "registry/$id.claim" | wc -l)" -gt 0 ]
    nb claims --quick --registry registry --id "$id" --out "wrong$id"
    expect "$id, planted, is $to: $(verdict "$id" "wrong$id")" [ "$(verdict "$id" "wrong$id")" = "$to" ]
    cp kept "registry/$id.claim"
}
flips C42 REPRODUCED CONDITIONAL 's/^eps  *= 0$/eps = 1e-5/; s/^factor .*/factor = 0.001,3/' # an eps where the table has none
flips C30 CONDITIONAL REPRODUCED 's/^rule  *= int$/rule = ceil/; s/^share .*/share = 0.0625,0.29,0.5,1/' # ceil() for int()
flips C20 REPRODUCED REFUTED 's/^quantity .*/&\nscheme = deepnorm\nnorm = layernorm\ndepth = 6,200\nalpha = 1\nbeta = 1/' # alpha of a shallow stack

flips C22 REFUTED CONDITIONAL 's/^quantity .*/&\nbeta = 3/' # a stack whose weights beta enlarges

# A measurement that cannot be: said on stderr, in claims.md and in claims.json, with exit code 1; the claim has its verdict.
fails 1 'something is wrong: a block saves more than its norm takes: beyond_amdahl is 0.3 [0.29, 0.31] where block=planted' \
    claim 'wrong_block.beyond_amdahl > 0.1' --out void
expect "claims.md says it" grep -q '^\*\*This run is void\*\*: something is wrong' void/claims.md
expect "claims.json, too" jq -e '(.wrong | test("^something is wrong")) and .claims[0].verdict == "REPRODUCED"' void/claims.json >jq.out
nb claim 'wrong_block.beyond_amdahl > 0.01 where beyond=0.025' --out fine # as X01 allows
expect "nothing is wrong: exit $rc" jq -e '.wrong == null' fine/claims.json >jq.out

# An RMSNorm that is right and takes 30 % longer: about 1.4 times as fast as LayerNorm becomes 1.1.
asked='speedup(rmsnorm:layernorm, naive) >= 1.22 where dtype=f32 and hidden=1024 and residency=L2 and isa=scalar'
nb claim "$asked" --quick --out fast
expect "as it comes it is faster by so much: exit $rc, $(jq -c '[.runs[].observations[] | select(.quantity == "speedup") | [.low, .value, .high]]' fast/claims.json)" [ "$rc" = 0 ]
NB_SLOW=1 nb claim "$asked" --quick --out slow
expect "slowed it is not: exit $rc, $(jq -c '[.runs[].observations[] | select(.quantity == "speedup") | [.low, .value, .high]]' slow/claims.json)" [ "$rc" = 3 ]
finish
