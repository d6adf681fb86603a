package listening

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr/mimc"
)

// Every hash is MiMC over exactly three field elements: a tag, which says what the hash is of, and two values. So a
// leaf is never a node, a member never a nullifier, and no hash continues another one.
const (
	tagMember     = "annals/listening/v1/member"
	tagLeaf       = "annals/listening/v1/leaf"
	tagNode       = "annals/listening/v1/node"
	tagCommitment = "annals/listening/v1/commitment"
	tagNullifier  = "annals/listening/v1/nullifier"
)

// tagValue is the tag's ASCII as a big-endian number; at most 31 bytes, so it is below the field's modulus.
func tagValue(tag string) *big.Int {
	return new(big.Int).SetBytes([]byte(tag))
}

// hasher computes the hashes of one tag; what the tag alone does to the state is computed once.
type hasher struct {
	state []byte
}

func newHasher(tag string) hasher {
	var element fr.Element
	element.SetBigInt(tagValue(tag))
	digest := mimc.NewMiMC()
	bytes := element.Bytes()
	mustWrite(digest.Write(bytes[:]))
	return hasher{digest.Sum(nil)}
}

func (h hasher) of(left, right fr.Element) fr.Element {
	digest := mimc.NewMiMC()
	if err := digest.SetState(h.state); err != nil {
		panic(err) // the state is a field element
	}
	l, r := left.Bytes(), right.Bytes()
	mustWrite(digest.Write(l[:]))
	mustWrite(digest.Write(r[:]))
	var result fr.Element
	result.SetBytes(digest.Sum(nil))
	return result
}

func mustWrite(_ int, err error) {
	if err != nil {
		panic(err) // the bytes of a field element are always taken
	}
}

var (
	hashMember     = newHasher(tagMember)
	hashLeaf       = newHasher(tagLeaf)
	hashNode       = newHasher(tagNode)
	hashCommitment = newHasher(tagCommitment)
	hashNullifier  = newHasher(tagNullifier)
)

// Member is what a listener registers: it says nothing about the secret.
func Member(secret Field) Field {
	return Field{hashMember.of(secret.Element, fr.Element{})}
}

// Leaf is a listening record: a member and the seconds listened to in the period.
func Leaf(member Field, seconds uint32) Field {
	var s fr.Element
	s.SetUint64(uint64(seconds))
	return Field{hashLeaf.of(member.Element, s)}
}

// Commitment binds the root of a tree to the one scope (chain, vault and period) that it is for.
func Commitment(scope, root Field) Field {
	return Field{hashCommitment.of(scope.Element, root.Element)}
}

// Nullifier is the same for all claims of a secret in a scope, and says nothing about the secret.
func Nullifier(secret, scope Field) Field {
	return Field{hashNullifier.of(secret.Element, scope.Element)}
}
