package passkey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
)

const (
	// maxBody is the most an answer may weigh: a registration with a long
	// attestation chain is a tenth of it (SECURITY PW7, DS1).
	maxBody = 64 << 10
	// maxDepth of JSON; the deepest member of a real answer is at four.
	maxDepth = 16
	// maxCredentialID is in Web Authentication Level 3 §7.1 step 25.
	maxCredentialID = 1023
)

// readBody reads an answer whole, and refuses what is too long, not UTF-8, or
// says one thing twice (SECURITY G8): of two members with one name, two readers
// might believe different ones.
func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	switch {
	case err != nil:
		return nil, &Error{ErrMalformed, fmt.Errorf("reading the answer: %w", err)}
	case len(body) > maxBody:
		return nil, refuse(ErrMalformed, "the answer has more than %d bytes", maxBody)
	case !utf8.Valid(body):
		return nil, refuse(ErrMalformed, "the answer is not UTF-8")
	}
	if err := checkMembers(body); err != nil {
		return nil, &Error{ErrMalformed, err}
	}
	return body, nil
}

// checkMembers walks one JSON object and refuses repeated names. Names are
// compared as encoding/json will match them, without regard to case.
func checkMembers(body []byte) error {
	type frame struct {
		names map[string]bool // nil in an array
		name  bool            // the next token is a name
	}
	var stack []frame
	dec := json.NewDecoder(bytes.NewReader(body))
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading JSON: %w", err)
		}
		if d, ok := tok.(json.Delim); ok && (d == '}' || d == ']') {
			stack = stack[:len(stack)-1]
		} else {
			if len(stack) > 0 {
				top := &stack[len(stack)-1]
				if s, ok := tok.(string); ok && top.name {
					folded := strings.ToLower(strings.ToUpper(s))
					if top.names[folded] {
						return errors.New("a member is there twice")
					}
					top.names[folded] = true
					top.name = false
					continue
				}
			}
			if ok {
				if len(stack) == maxDepth {
					return errors.New("JSON nested too deep")
				}
				f := frame{}
				if d == '{' {
					f = frame{names: map[string]bool{}, name: true}
				}
				stack = append(stack, f)
				continue
			}
			if len(stack) == 0 {
				return errors.New("not a JSON object")
			}
		}
		if len(stack) > 0 && stack[len(stack)-1].names != nil {
			stack[len(stack)-1].name = true
		}
	}
}

// guard turns a panic of the library over a stranger's bytes into a refusal. None
// is known; the handler behind us must not be the one to find the first.
func guard(err *error) {
	if p := recover(); p != nil {
		*err = refuse(ErrMalformed, "the library panicked: %v", p)
	}
}

func parseRegistration(r io.Reader) (_ *protocol.ParsedCredentialCreationData, err error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	defer guard(&err)
	parsed, err := protocol.ParseCredentialCreationResponseBytes(body)
	if err != nil {
		return nil, &Error{ErrMalformed, err}
	}
	if len(parsed.RawID) > maxCredentialID {
		return nil, refuse(ErrMalformed, "a credential id of %d bytes", len(parsed.RawID))
	}
	return parsed, nil
}

func parseAssertion(r io.Reader) (_ *protocol.ParsedCredentialAssertionData, err error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	defer guard(&err)
	parsed, err := protocol.ParseCredentialRequestResponseBytes(body)
	if err != nil {
		return nil, &Error{ErrMalformed, err}
	}
	if len(parsed.RawID) > maxCredentialID {
		return nil, refuse(ErrMalformed, "a credential id of %d bytes", len(parsed.RawID))
	}
	return parsed, nil
}
