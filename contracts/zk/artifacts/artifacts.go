// Package artifacts holds the keys of each version of the circuit.
package artifacts

import (
	_ "embed" // the keys are part of the program: a listener needs one file
	"encoding/json"

	"annals/zk/listening"
)

var (
	//go:embed v1/manifest.json
	manifest []byte
	//go:embed v1/proving.key
	provingKey []byte
	//go:embed v1/verifying.key
	verifyingKey []byte
)

// V1 returns the keys of the circuit listening-v1.
func V1() (*listening.Keys, error) {
	keys := &listening.Keys{ProvingKey: provingKey, VerifyingKey: verifyingKey}
	return keys, json.Unmarshal(manifest, &keys.Manifest)
}
