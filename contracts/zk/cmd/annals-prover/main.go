// Command annals-prover commits to listening records, and proves and verifies claims about them.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"annals/zk/artifacts"
	"annals/zk/listening"
)

const usage = `annals-prover: zero-knowledge claims of listening rewards (circuit listening-v1)

Files are JSON; the formats are in contracts/zk/README.md. Each command reads standard input and writes standard
output, unless said otherwise.

  a listener, on a machine of its own
    secret                    makes a secret (keep it) and its member (register it)
    witness --tree FILE       {secret, seconds, threshold, recipient} -> witness, from a published tree
    prove                     witness -> proof

  the platform
    commit                    {scope, records: [{member, seconds}]} -> tree: commitment and leaves
    verify                    proof -> {"valid": true}

  who publishes the circuit
    export                    writes the verifying contract (Solidity)
    info                      writes the manifest of the keys
    setup --development DIR   makes new keys as a single party, who could forge proofs

Status: 0; 1 and {"error": code, "detail": text} on standard error if refused; 2 if used wrongly.
`

type secret struct {
	Secret listening.Field `json:"secret"`
	Member listening.Field `json:"member"`
}

type period struct {
	Scope   listening.Field    `json:"scope"`
	Records []listening.Record `json:"records"`
}

var commands = map[string]func(args []string) error{
	"secret": makeSecret, "witness": witness, "prove": prove,
	"commit": commit, "verify": verify, "export": export, "info": info, "setup": setup,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		refusal := &listening.Refusal{Code: "failed", Detail: err.Error()}
		errors.As(err, &refusal)
		_ = json.NewEncoder(os.Stderr).Encode(map[string]string{"error": refusal.Code, "detail": refusal.Detail})
		os.Exit(1)
	}
}

func makeSecret([]string) error {
	var made secret
	if _, err := made.Secret.SetRandom(); err != nil { // crypto/rand, uniform
		return err
	}
	made.Member = listening.Member(made.Secret)
	return write(made)
}

func commit([]string) error {
	return transform(func(in *period) (*listening.Published, error) { return listening.Publish(in.Scope, in.Records) })
}

func witness(args []string) error {
	flags := flag.NewFlagSet("witness", flag.ExitOnError)
	path := flags.String("tree", "", "the published `file`")
	_ = flags.Parse(args)
	file, err := os.Open(*path)
	if err != nil {
		return err
	}
	defer file.Close()
	var tree listening.Published
	if err := read(file, &tree); err != nil {
		return err
	}
	return transform(func(in *listening.Claim) (*listening.Witness, error) { return tree.Witness(*in) })
}

func prove([]string) error {
	keys, err := artifacts.V1()
	if err != nil {
		return err
	}
	return transform(keys.Prove)
}

func verify([]string) error {
	keys, err := artifacts.V1()
	if err != nil {
		return err
	}
	return transform(func(in *listening.Proof) (map[string]bool, error) {
		return map[string]bool{"valid": true}, keys.Verify(in)
	})
}

func export([]string) error {
	keys, err := artifacts.V1()
	if err != nil {
		return err
	}
	return keys.Solidity(os.Stdout)
}

func info([]string) error {
	keys, err := artifacts.V1()
	if err != nil {
		return err
	}
	return write(keys.Manifest)
}

func setup(args []string) error {
	flags := flag.NewFlagSet("setup", flag.ExitOnError)
	folder := flags.String("development", "", "the `folder` to write the keys to")
	_ = flags.Parse(args)
	if *folder == "" {
		return errors.New("say where to write the keys: setup --development DIR")
	}
	if os.Getenv("CI") != "" {
		return errors.New("keys are made once and committed, never in CI")
	}
	keys, err := listening.Setup()
	if err != nil {
		return err
	}
	var manifest bytes.Buffer
	if err := encode(&manifest, keys.Manifest); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"manifest.json": manifest.Bytes(), "proving.key": keys.ProvingKey, "verifying.key": keys.VerifyingKey,
	} {
		if err := os.WriteFile(filepath.Join(*folder, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func transform[In, Out any](work func(*In) (Out, error)) error {
	var in In
	if err := read(os.Stdin, &in); err != nil {
		return err
	}
	out, err := work(&in)
	if err != nil {
		return err
	}
	return write(out)
}

func read(from io.Reader, into any) error {
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if refusal := new(listening.Refusal); err != nil && !errors.As(err, &refusal) {
		return &listening.Refusal{Code: "malformed", Detail: err.Error()}
	}
	return err
}

func write(what any) error { return encode(os.Stdout, what) }

func encode(to io.Writer, what any) error {
	encoder := json.NewEncoder(to)
	encoder.SetIndent("", " ")
	return encoder.Encode(what)
}
