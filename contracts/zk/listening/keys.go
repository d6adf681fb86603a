package listening

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/consensys/gnark-crypto/ecc"
	"github.com/consensys/gnark/backend/groth16"
	bn254 "github.com/consensys/gnark/backend/groth16/bn254"
	"github.com/consensys/gnark/backend/solidity"
	"github.com/consensys/gnark/constraint"
	"github.com/consensys/gnark/frontend"
	"github.com/consensys/gnark/frontend/cs/r1cs"
	"github.com/consensys/gnark/logger"
)

// SolidityName of the verifying contract.
const SolidityName = "ListeningVerifierV1"

// Manifest says what a folder of artefacts holds. The hashes are SHA-256.
type Manifest struct {
	Circuit      string `json:"circuit"`
	Curve        string `json:"curve"`
	Depth        int    `json:"depth"`
	Constraints  int    `json:"constraints"`
	Ceremony     string `json:"ceremony"`
	System       string `json:"constraintSystem"`
	ProvingKey   string `json:"provingKey"`
	VerifyingKey string `json:"verifyingKey"`
}

// Keys are the artefacts of one ceremony.
type Keys struct {
	Manifest                 Manifest
	ProvingKey, VerifyingKey []byte
}

func init() { logger.Disable() }

// Compile returns the constraints. They are the same each time: the manifest has their hash.
func Compile() (constraint.ConstraintSystem, error) {
	return frontend.Compile(ecc.BN254.ScalarField(), r1cs.NewBuilder, new(Circuit))
}

// Setup makes keys as a single party, who could forge proofs: for development only.
func Setup() (*Keys, error) {
	system, err := Compile()
	if err != nil {
		return nil, err
	}
	proving, verifying, err := groth16.Setup(system)
	if err != nil {
		return nil, err
	}
	hash, err := hashOf(system)
	if err != nil {
		return nil, err
	}
	keys := &Keys{Manifest: Manifest{
		Circuit: Name, Curve: "bn254", Depth: Depth, Constraints: system.GetNbConstraints(), System: hash,
		Ceremony: "development: a single party made these keys and could forge proofs; not for production",
	}}
	for _, part := range []struct {
		write func(io.Writer) (int64, error)
		data  *[]byte
		hash  *string
	}{
		{proving.WriteTo, &keys.ProvingKey, &keys.Manifest.ProvingKey},
		{verifying.WriteTo, &keys.VerifyingKey, &keys.Manifest.VerifyingKey},
	} {
		var buffer bytes.Buffer
		if _, err := part.write(&buffer); err != nil {
			return nil, err
		}
		*part.data, *part.hash = buffer.Bytes(), sha256Of(buffer.Bytes())
	}
	return keys, nil
}

// Prove makes the proof of a witness. It is refused by name if it proves nothing; `not-committed`, `below-threshold`.
func (k *Keys) Prove(witness *Witness) (*Proof, error) {
	statement, err := witness.Statement()
	if err != nil {
		return nil, err
	}
	system, err := k.system()
	if err != nil {
		return nil, err
	}
	if err := expectHash("proving key", sha256Of(k.ProvingKey), k.Manifest.ProvingKey); err != nil {
		return nil, err
	}
	var key bn254.ProvingKey
	if _, err := key.UnsafeReadFrom(bytes.NewReader(k.ProvingKey)); err != nil { // its hash vouches for its points
		return nil, fmt.Errorf("proving key: %w", err)
	}
	full, err := frontend.NewWitness(witness.assignment(statement), ecc.BN254.ScalarField())
	if err != nil {
		return nil, err
	}
	made, err := groth16.Prove(system, &key, full)
	if err != nil {
		return nil, err
	}
	proof := &Proof{Name, *statement, pointsOf(made.(*bn254.Proof))}
	return proof, k.Verify(proof)
}

// Verify returns nil for a proof that holds, else why it does not: `wrong-circuit`, `malformed-proof`, `proof-invalid`.
func (k *Keys) Verify(proof *Proof) error {
	if err := ofThisCircuit(proof.Circuit); err != nil {
		return err
	}
	points, err := proof.Points.groth16()
	if err != nil {
		return err
	}
	key, err := k.verifyingKey()
	if err != nil {
		return err
	}
	public, err := frontend.NewWitness(proof.Statement.assignment(), ecc.BN254.ScalarField(), frontend.PublicOnly())
	if err != nil {
		return err
	}
	if groth16.Verify(points, key, public) != nil {
		return refuse("proof-invalid", "the proof is not one of this statement")
	}
	return nil
}

// Solidity writes the verifying contract.
func (k *Keys) Solidity(to io.Writer) error {
	key, err := k.verifyingKey()
	if err != nil {
		return err
	}
	var text strings.Builder
	if err := key.ExportSolidity(&text, solidity.WithPragmaVersion("^0.8.24")); err != nil {
		return err
	}
	const template = "\ncontract Verifier {"
	if strings.Count(text.String(), template) != 1 {
		return fmt.Errorf("gnark's template has changed: expected one %q", template)
	}
	renamed := strings.Replace(text.String(), template, "\ncontract "+SolidityName+" {", 1)
	_, err = io.WriteString(to, strings.TrimLeft(renamed, "\n"))
	return err
}

func (k *Keys) system() (constraint.ConstraintSystem, error) {
	system, err := Compile()
	if err != nil {
		return nil, err
	}
	found, err := hashOf(system)
	if err != nil {
		return nil, err
	}
	return system, expectHash("constraint system", found, k.Manifest.System)
}

func (k *Keys) verifyingKey() (*bn254.VerifyingKey, error) {
	if err := expectHash("verifying key", sha256Of(k.VerifyingKey), k.Manifest.VerifyingKey); err != nil {
		return nil, err
	}
	var key bn254.VerifyingKey
	if _, err := key.ReadFrom(bytes.NewReader(k.VerifyingKey)); err != nil {
		return nil, fmt.Errorf("verifying key: %w", err)
	}
	return &key, nil
}

func hashOf(system constraint.ConstraintSystem) (string, error) {
	digest := sha256.New()
	buffered := bufio.NewWriter(digest)
	if _, err := system.WriteTo(buffered); err != nil {
		return "", err
	}
	if err := buffered.Flush(); err != nil {
		return "", err
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func sha256Of(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func expectHash(what, found, expected string) error {
	if found != expected {
		return refuse("wrong-artefacts", "%s: expected SHA-256 %s, found %s", what, expected, found)
	}
	return nil
}
