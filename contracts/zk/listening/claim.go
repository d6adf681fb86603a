package listening

import (
	"math/big"

	"github.com/consensys/gnark-crypto/ecc/bn254"
	"github.com/consensys/gnark-crypto/ecc/bn254/fp"
	groth16 "github.com/consensys/gnark/backend/groth16/bn254"
)

// Published is a period's commitment with all its leaves, so that a listener finds its own path and tells nobody which.
type Published struct {
	Circuit    string  `json:"circuit"`
	Scope      Field   `json:"scope"`
	Commitment Field   `json:"commitment"`
	Leaves     []Field `json:"leaves"`
}

// Claim is what a listener wants and knows.
type Claim struct {
	Secret    Field   `json:"secret"`
	Seconds   uint32  `json:"seconds"`
	Threshold uint32  `json:"threshold"`
	Recipient Address `json:"recipient"`
}

// Witness is all that a proof is made of. It holds the secret: it stays with the listener.
type Witness struct {
	Circuit    string       `json:"circuit"`
	Scope      Field        `json:"scope"`
	Commitment Field        `json:"commitment"`
	Claim      Claim        `json:"claim"`
	Index      uint32       `json:"index"`
	Path       [Depth]Field `json:"path"`
}

// Statement is what a proof proves: all public values.
type Statement struct {
	Commitment Field   `json:"commitment"`
	Scope      Field   `json:"scope"`
	Threshold  uint32  `json:"threshold"`
	Nullifier  Field   `json:"nullifier"`
	Recipient  Address `json:"recipient"`
}

// Proof is a statement and the points that prove it, as the verifying contract takes them.
type Proof struct {
	Circuit string `json:"circuit"`
	Statement
	Points Points `json:"proof"`
}

// Publish commits to the records of a scope.
func Publish(scope Field, records []Record) (*Published, error) {
	leaves, err := LeavesOf(records)
	if err != nil {
		return nil, err
	}
	tree, err := NewTree(leaves)
	if err != nil {
		return nil, err
	}
	return &Published{Name, scope, Commitment(scope, tree.Root()), leaves}, nil
}

// Witness finds a claim's record among the published leaves.
func (p *Published) Witness(claim Claim) (*Witness, error) {
	if err := ofThisCircuit(p.Circuit); err != nil {
		return nil, err
	}
	tree, err := NewTree(p.Leaves)
	if err != nil {
		return nil, err
	}
	index, found := tree.Find(Leaf(Member(claim.Secret), claim.Seconds))
	if !found {
		return nil, refuse("not-committed", "no leaf is of this secret with %d seconds", claim.Seconds)
	}
	witness := &Witness{Name, p.Scope, p.Commitment, claim, uint32(index), tree.Path(index)}
	_, err = witness.Statement()
	return witness, err
}

// Statement returns what the witness proves, or why it proves nothing.
func (w *Witness) Statement() (*Statement, error) {
	if err := ofThisCircuit(w.Circuit); err != nil {
		return nil, err
	}
	if w.Index >= Capacity {
		return nil, refuse("malformed", "expected an index below %d, got %d", Capacity, w.Index)
	}
	if w.Claim.Secret.IsZero() || w.Claim.Recipient == (Address{}) {
		return nil, refuse("malformed", "expected a secret and a recipient that are not zero")
	}
	if w.Claim.Seconds < w.Claim.Threshold {
		return nil, refuse("below-threshold", "expected at least %d seconds, got %d", w.Claim.Threshold, w.Claim.Seconds)
	}
	node := Leaf(Member(w.Claim.Secret), w.Claim.Seconds).Element
	for level, sibling := range w.Path {
		if w.Index>>level&1 == 1 {
			node = hashNode.of(sibling.Element, node)
		} else {
			node = hashNode.of(node, sibling.Element)
		}
	}
	if found := Commitment(w.Scope, Field{node}); found != w.Commitment {
		return nil, refuse("not-committed", "the path leads to commitment %s, expected %s", found, w.Commitment)
	}
	nullifier := Nullifier(w.Claim.Secret, w.Scope)
	return &Statement{w.Commitment, w.Scope, w.Claim.Threshold, nullifier, w.Claim.Recipient}, nil
}

func (w *Witness) assignment(s *Statement) *Circuit {
	circuit := s.assignment()
	circuit.Secret = w.Claim.Secret.Element
	circuit.Seconds = w.Claim.Seconds
	circuit.Index = w.Index
	for level, sibling := range w.Path {
		circuit.Path[level] = sibling.Element
	}
	return circuit
}

func (s *Statement) assignment() *Circuit {
	return &Circuit{
		Commitment: s.Commitment.Element,
		Scope:      s.Scope.Element,
		Threshold:  s.Threshold,
		Nullifier:  s.Nullifier.Element,
		Recipient:  s.Recipient.Field().Element,
	}
}

func ofThisCircuit(name string) error {
	if name != Name {
		return refuse("wrong-circuit", "expected circuit %s, got %.40q", Name, name)
	}
	return nil
}

// Points are a Groth16 proof: A.x, A.y, B.x₁, B.x₀, B.y₁, B.y₀, C.x, C.y as the pairing precompile takes them.
type Points [8]Word

// Word is 32 bytes, in JSON "0x" and 64 hexadecimal digits.
type Word [32]byte

// MarshalText implements encoding.TextMarshaler.
func (w Word) MarshalText() ([]byte, error) {
	return []byte("0x" + new(big.Int).SetBytes(append([]byte{1}, w[:]...)).Text(16)[1:]), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (w *Word) UnmarshalText(text []byte) error {
	data, err := parseHex(string(text), len(w))
	copy(w[:], data)
	return err
}

func pointsOf(proof *groth16.Proof) (points Points) {
	data := proof.MarshalSolidity()
	for index := range points {
		points[index] = Word(data[32*index:])
	}
	return points
}

// groth16 returns the proof if each point is on its curve and in its group.
func (p Points) groth16() (*groth16.Proof, error) {
	var words [8]fp.Element
	for index, word := range p {
		if err := words[index].SetBytesCanonical(word[:]); err != nil {
			return nil, refuse("malformed-proof", "proof[%d]: expected a number below the base field's modulus", index)
		}
	}
	var proof groth16.Proof
	proof.Ar = bn254.G1Affine{X: words[0], Y: words[1]}
	proof.Bs.X.A1, proof.Bs.X.A0, proof.Bs.Y.A1, proof.Bs.Y.A0 = words[2], words[3], words[4], words[5]
	proof.Krs = bn254.G1Affine{X: words[6], Y: words[7]}
	if !proof.Ar.IsOnCurve() || !proof.Krs.IsOnCurve() || !proof.Bs.IsOnCurve() || !proof.Bs.IsInSubGroup() {
		return nil, refuse("malformed-proof", "a point is not on its curve or not in its group")
	}
	return &proof, nil
}
