package listening

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/consensys/gnark-crypto/ecc/bn254/fr"
)

// Refusal is an error with a stable code for programs and a text for people.
type Refusal struct {
	Code, Detail string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Detail }

func refuse(code, format string, args ...any) error {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// Field is an element of BN254's scalar field. In JSON it is "0x" and 64 hexadecimal digits, less than the modulus.
type Field struct {
	fr.Element
}

// NewField returns a small number as a field element.
func NewField(value uint64) Field {
	var field Field
	field.SetUint64(value)
	return field
}

// ParseField reads the one way to write an element; a number beyond the modulus is refused, never reduced.
func ParseField(text string) (Field, error) {
	var field Field
	data, err := parseHex(text, fr.Bytes)
	if err != nil {
		return field, err
	}
	if err := field.SetBytesCanonical(data); err != nil {
		return field, refuse("not-in-field", "expected a number below the field's modulus, got %s", text)
	}
	return field, nil
}

func (f Field) String() string {
	bytes := f.Bytes()
	return "0x" + hex.EncodeToString(bytes[:])
}

// MarshalText implements encoding.TextMarshaler.
func (f Field) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Field) UnmarshalText(text []byte) (err error) {
	*f, err = ParseField(string(text))
	return err
}

// MarshalJSON hides the embedded element's own.
func (f Field) MarshalJSON() ([]byte, error) { return []byte(`"` + f.String() + `"`), nil }

// UnmarshalJSON hides the embedded element's own, which would take numbers and reduce them.
func (f *Field) UnmarshalJSON(data []byte) error {
	text, found := strings.CutPrefix(string(data), `"`)
	text, closed := strings.CutSuffix(text, `"`)
	if !found || !closed {
		return refuse("malformed", "expected a text of 0x and 64 hexadecimal digits, got %.80s", data)
	}
	return f.UnmarshalText([]byte(text))
}

// Address is an account: 20 bytes, in JSON "0x" and 40 hexadecimal digits (a TRON address without its 41).
type Address [20]byte

// MarshalText implements encoding.TextMarshaler.
func (a Address) MarshalText() ([]byte, error) { return []byte("0x" + hex.EncodeToString(a[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Address) UnmarshalText(text []byte) error {
	data, err := parseHex(string(text), len(a))
	copy(a[:], data)
	return err
}

// Field returns the address as a number.
func (a Address) Field() Field {
	var field Field
	field.SetBytes(a[:])
	return field
}

func parseHex(text string, size int) ([]byte, error) {
	digits, found := strings.CutPrefix(text, "0x")
	data, err := hex.DecodeString(digits)
	if !found || err != nil || len(data) != size {
		return nil, refuse("malformed", "expected 0x and %d hexadecimal digits, got %.80q", 2*size, text)
	}
	return data, nil
}
