package listening_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"testing"

	"annals/zk/artifacts"
	"annals/zk/listening"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
	"github.com/consensys/gnark/frontend"
)

const threshold = 3600

var scope = listening.NewField(7)

func keys(t *testing.T) *listening.Keys {
	t.Helper()
	keys, err := artifacts.V1()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// period is one of n listeners whose secrets are 1 to n; the i-th has listened for 3600 + i seconds.
func period(t *testing.T, n int) *listening.Published {
	t.Helper()
	records := make([]listening.Record, n)
	for i := range records {
		secret := listening.NewField(uint64(i + 1))
		records[i] = listening.Record{Member: listening.Member(secret), Seconds: uint32(threshold + i)}
	}
	published, err := listening.Publish(scope, records)
	if err != nil {
		t.Fatal(err)
	}
	return published
}

func claim(i int) listening.Claim {
	return listening.Claim{
		Secret: listening.NewField(uint64(i + 1)), Seconds: uint32(threshold + i), Threshold: threshold,
		Recipient: listening.Address{0xab, 19: 0xcd},
	}
}

func witness(t *testing.T, published *listening.Published, i int) *listening.Witness {
	t.Helper()
	found, err := published.Witness(claim(i))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func refusedAs(t *testing.T, err error, code string) {
	t.Helper()
	var refusal *listening.Refusal
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Fatalf("expected a refusal %q, got %v", code, err)
	}
}

func TestTheCommittedKeysAreOfThisCircuit(t *testing.T) {
	system, err := listening.Compile()
	if err != nil {
		t.Fatal(err)
	}
	manifest := keys(t).Manifest
	if manifest.Constraints != system.GetNbConstraints() || manifest.Circuit != listening.Name {
		t.Fatalf("the manifest says %+v, the circuit has %d constraints", manifest, system.GetNbConstraints())
	}
	if system.GetNbPublicVariables() != 6 || len(system.GetCommitments().CommitmentIndexes()) != 0 {
		t.Fatal("the verifying contract takes five public values (and the one) and no commitments")
	}
}

func TestAProofHoldsForItsStatementAndNoOther(t *testing.T) {
	keys := keys(t)
	proof, err := keys.Prove(witness(t, period(t, 5), 3))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*listening.Proof){
		"commitment": func(p *listening.Proof) { p.Commitment = listening.NewField(1) },
		"scope":      func(p *listening.Proof) { p.Scope = listening.NewField(8) },
		"threshold":  func(p *listening.Proof) { p.Threshold-- },
		"nullifier":  func(p *listening.Proof) { p.Nullifier = listening.NewField(1) },
		"recipient":  func(p *listening.Proof) { p.Recipient[19]++ },
	} {
		t.Run(name, func(t *testing.T) {
			changed := *proof
			change(&changed)
			refusedAs(t, keys.Verify(&changed), "proof-invalid")
		})
	}
	for index := range proof.Points {
		changed := *proof
		changed.Points[index][31] ^= 1
		refusedAs(t, keys.Verify(&changed), "malformed-proof")
		changed.Points[index] = listening.Word(fieldOrderOf(254))
		refusedAs(t, keys.Verify(&changed), "malformed-proof")
	}
	swapped := *proof
	swapped.Points[0], swapped.Points[1] = proof.Points[6], proof.Points[7]
	refusedAs(t, keys.Verify(&swapped), "proof-invalid")
	swapped.Circuit = "listening-v2"
	refusedAs(t, keys.Verify(&swapped), "wrong-circuit")
	refusedAs(t, keys.Verify(&listening.Proof{Circuit: listening.Name}), "proof-invalid") // points at infinity
}

func fieldOrderOf(bits uint) (word [32]byte) {
	new(big.Int).Lsh(big.NewInt(1), bits).FillBytes(word[:])
	return word
}

// The constraints alone, without the prover's own checks: nothing but the truth satisfies them.
func TestTheConstraintsHoldForTrueWitnessesOnly(t *testing.T) {
	system, err := listening.Compile()
	if err != nil {
		t.Fatal(err)
	}
	good := witness(t, period(t, 5), 0)
	statement, err := good.Statement()
	if err != nil {
		t.Fatal(err)
	}
	assignment := func() *listening.Circuit {
		circuit := &listening.Circuit{
			Commitment: statement.Commitment.Element, Scope: scope.Element, Threshold: threshold,
			Nullifier: statement.Nullifier.Element, Recipient: 1,
			Secret: 1, Seconds: threshold, Index: good.Index,
		}
		for level, sibling := range good.Path {
			circuit.Path[level] = sibling.Element
		}
		return circuit
	}
	minus := func(value int64) *big.Int { return new(big.Int).Sub(fr.Modulus(), big.NewInt(value)) }
	for name, change := range map[string]func(*listening.Circuit){
		"":                            func(c *listening.Circuit) {},
		"below the threshold":         func(c *listening.Circuit) { c.Threshold = threshold + 1 },
		"a negative threshold":        func(c *listening.Circuit) { c.Threshold = minus(5) },
		"a threshold of 33 bits":      func(c *listening.Circuit) { c.Threshold = new(big.Int).Lsh(big.NewInt(1), 32) },
		"more seconds than committed": func(c *listening.Circuit) { c.Seconds = threshold + 1 },
		"another secret":              func(c *listening.Circuit) { c.Secret = 2 },
		"another nullifier":           func(c *listening.Circuit) { c.Nullifier = 1 },
		"another scope":               func(c *listening.Circuit) { c.Scope = 8 },
		"another commitment":          func(c *listening.Circuit) { c.Commitment = 1 },
		"another index":               func(c *listening.Circuit) { c.Index = 1 },
		"an index beyond the tree":    func(c *listening.Circuit) { c.Index = listening.Capacity },
		"another path":                func(c *listening.Circuit) { c.Path[19] = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			circuit := assignment()
			change(circuit)
			full, err := frontend.NewWitness(circuit, ecc.BN254.ScalarField())
			if err != nil {
				t.Fatal(err)
			}
			if err := system.IsSolved(full); (err == nil) != (name == "") {
				t.Fatalf("solved: %v", err)
			}
		})
	}
}

func TestEveryLeafOfEveryTreeHasAPathToItsCommitment(t *testing.T) {
	for _, size := range []int{1, 2, 3, 8, 9, 31} {
		published := period(t, size)
		for i := range size {
			if found := witness(t, published, i); found.Index != uint32(i) {
				t.Fatalf("leaf %d of %d: found %d", i, size, found.Index)
			}
		}
	}
}

func TestWhatCannotBeProvenIsRefusedByName(t *testing.T) {
	published := period(t, 5)
	for name, change := range map[string]func(*listening.Claim){
		"not-committed":   func(c *listening.Claim) { c.Secret = listening.NewField(6) },
		"below-threshold": func(c *listening.Claim) { c.Threshold = c.Seconds + 1 },
		"malformed":       func(c *listening.Claim) { c.Recipient = listening.Address{} },
	} {
		t.Run(name, func(t *testing.T) {
			changed := claim(2)
			change(&changed)
			_, err := published.Witness(changed)
			refusedAs(t, err, name)
		})
	}
	lying := witness(t, published, 2)
	lying.Claim.Seconds++
	_, err := keys(t).Prove(lying)
	refusedAs(t, err, "not-committed")
	_, err = listening.Publish(scope, nil)
	refusedAs(t, err, "malformed")
	twice := listening.Record{Member: listening.NewField(1), Seconds: 1}
	_, err = listening.Publish(scope, []listening.Record{twice, twice})
	refusedAs(t, err, "duplicate-member")
}

func TestANumberHasOneSpelling(t *testing.T) {
	modulus := listening.Word{}
	fr.Modulus().FillBytes(modulus[:])
	text, _ := modulus.MarshalText()
	_, err := listening.ParseField(string(text))
	refusedAs(t, err, "not-in-field")
	for _, wrong := range []string{`1`, `"1"`, `"0x1"`, `null`, `"0x` + string(text[2:65]) + `g"`} {
		var field listening.Field
		refusedAs(t, json.Unmarshal([]byte(wrong), &field), "malformed")
	}
	field, again := listening.NewField(77), listening.Field{}
	if data, _ := json.Marshal(field); json.Unmarshal(data, &again) != nil || again != field {
		t.Fatalf("%s became %s", field, again)
	}
}
