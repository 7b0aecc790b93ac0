package passkey

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"github.com/go-webauthn/webauthn/protocol"

	"ecardid/internal/strictjson"
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

// readBody reads an answer whole, and refuses what is too long, too deep, or says
// one thing twice (SECURITY G8): the library reads by encoding/json, which does not
// mind.
func readBody(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxBody+1))
	if err != nil {
		return nil, &Error{ErrMalformed, fmt.Errorf("reading the answer: %w", err)}
	}
	if _, err := (strictjson.Limits{Bytes: maxBody, Depth: maxDepth}).Object(body); err != nil {
		return nil, &Error{ErrMalformed, err}
	}
	return body, nil
}

// Challenge returns the challenge an answer repeats, by which its ceremony is found.
// Nothing else is looked at, and nothing believed: what is refused afterwards, for
// how it is written too, has spent its challenge (SECURITY WA1).
func Challenge(body []byte) (string, error) {
	var answer struct {
		Response struct {
			ClientDataJSON string `json:"clientDataJSON"`
		} `json:"response"`
	}
	var client struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", &Error{ErrMalformed, err}
	}
	raw, err := base64.RawURLEncoding.DecodeString(answer.Response.ClientDataJSON)
	if err != nil || json.Unmarshal(raw, &client) != nil || client.Challenge == "" {
		return "", refuse(ErrMalformed, "no client data with a challenge")
	}
	return client.Challenge, nil
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
