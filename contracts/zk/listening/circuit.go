// Package listening proves that a listener has listened long enough in a period, without showing who it is.
//
// The statement: "I know the secret of a member whose record in this commitment has at least the threshold's seconds;
// this is the only nullifier of that secret in this scope; pay this recipient."
package listening

import (
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/std/hash/mimc"
)

const (
	// Name of the circuit, in all files. A change of the circuit is a new name, with artefacts of its own.
	Name = "listening-v1"
	// Depth of the tree: 1,048,576 records a period.
	Depth = 20
	// Capacity of the tree.
	Capacity = 1 << Depth
	// secondsBits bounds seconds and threshold.
	secondsBits = 32
)

// Circuit is the statement. The public values are in the order in which the verifying contract takes them.
type Circuit struct {
	Commitment frontend.Variable `gnark:",public"`
	Scope      frontend.Variable `gnark:",public"`
	Threshold  frontend.Variable `gnark:",public"`
	Nullifier  frontend.Variable `gnark:",public"`
	Recipient  frontend.Variable `gnark:",public"`

	Secret  frontend.Variable
	Seconds frontend.Variable
	Index   frontend.Variable
	Path    [Depth]frontend.Variable
}

// Define implements frontend.Circuit.
func (c *Circuit) Define(api frontend.API) error {
	hash, err := hashInCircuit(api)
	if err != nil {
		return err
	}
	node := hash(tagLeaf, hash(tagMember, c.Secret, 0), c.Seconds)
	for level, right := range api.ToBinary(c.Index, Depth) {
		sibling := c.Path[level]
		node = hash(tagNode, api.Select(right, sibling, node), api.Select(right, node, sibling))
	}
	api.AssertIsEqual(c.Commitment, hash(tagCommitment, c.Scope, node))
	api.AssertIsEqual(c.Nullifier, hash(tagNullifier, c.Secret, c.Scope))
	assertAtLeast(api, c.Seconds, c.Threshold)
	// Each public value also stands alone in a product, so that a proof for one recipient, which no other constraint
	// speaks of, can't be made into one for another (Groth16's public wires have to be linearly independent for that).
	for _, public := range []frontend.Variable{c.Commitment, c.Scope, c.Threshold, c.Nullifier, c.Recipient} {
		api.Mul(public, public)
	}
	return nil
}

// assertAtLeast compares integers: both have 32 bits, and so has their difference. A negative difference is a field
// element of 254 bits.
func assertAtLeast(api frontend.API, value, threshold frontend.Variable) {
	for _, each := range []frontend.Variable{value, threshold, api.Sub(value, threshold)} {
		api.ToBinary(each, secondsBits) // of bits, not of gnark's range checker, which adds a commitment to the proof
	}
}

type hashFunction func(tag string, left, right frontend.Variable) frontend.Variable

func hashInCircuit(api frontend.API) (hashFunction, error) {
	digest, err := mimc.NewMiMC(api)
	return func(tag string, left, right frontend.Variable) frontend.Variable {
		digest.Reset()
		digest.Write(tagValue(tag), left, right)
		return digest.Sum()
	}, err
}
