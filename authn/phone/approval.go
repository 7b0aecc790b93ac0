package phone

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"ecardid/identity"
)

// A Decision is what the citizen said on the phone.
type Decision string

// The decisions. Refusing is the default and as large as approving on the page.
const (
	Approve Decision = "approve"
	Deny    Decision = "deny"
	Report  Decision = "report" // "I did not ask for this": 我没有发起登录
)

// An Approval is a citizen's answer, the body of a signed request.
type Approval struct {
	ID          identity.ID
	Decision    Decision
	Number      int    // picked; zero when not approving
	ContextHash string // of what was shown; empty when not approving
	// UserVerified: the phone checked PIN or biometrics for this answer. It is
	// worth what the key's attestation is worth.
	UserVerified bool
}

// approvalJSON is an Approval on the wire.
type approvalJSON struct {
	ID          string   `json:"approval_id"`
	Decision    Decision `json:"decision"`
	Number      *int     `json:"number,omitempty"`
	ContextHash *string  `json:"context_hash,omitempty"`
	UV          *bool    `json:"uv,omitempty"`
}

// ParseApproval reads
//
//	{"approval_id": "…", "decision": "approve", "number": 42, "context_hash": "…", "uv": true}
//
// Approving takes all five members; denying and reporting the first two. What
// fails to parse returns nothing.
func ParseApproval(body []byte) (Approval, error) {
	var in approvalJSON
	if err := decode(body, &in); err != nil {
		return Approval{}, err
	}
	id, err := identity.ParseID(in.ID)
	if err != nil || id.IsZero() {
		return Approval{}, malformed("approval_id: %v", err)
	}
	switch in.Decision {
	case Deny, Report:
		return Approval{ID: id, Decision: in.Decision}, nil
	case Approve:
	default:
		return Approval{}, malformed("decision")
	}
	if in.Number == nil || in.ContextHash == nil || in.UV == nil {
		return Approval{}, malformed("an approval without number, context_hash or uv")
	}
	if *in.Number < minNumber || *in.Number > maxNumber {
		return Approval{}, malformed("number")
	}
	if _, err := decode64(*in.ContextHash, sha256.Size, sha256.Size); err != nil {
		return Approval{}, err
	}
	return Approval{ID: id, Decision: Approve, Number: *in.Number, ContextHash: *in.ContextHash, UserVerified: *in.UV}, nil
}

// MarshalJSON writes an approval as the app sends it.
func (a Approval) MarshalJSON() ([]byte, error) {
	out := approvalJSON{ID: a.ID.String(), Decision: a.Decision}
	if a.Decision == Approve {
		out.Number, out.ContextHash, out.UV = &a.Number, &a.ContextHash, &a.UserVerified
	}
	return json.Marshal(out)
}

// Pending is what the server remembers of a question it asked.
type Pending struct {
	ID      identity.ID
	Context []byte // the very bytes the phone was given
	Number  int
	Expires time.Time
}

// An Outcome is what an answer comes to.
type Outcome string

// The outcomes. Each of them ends the question; the zero Outcome comes with an
// error and does not.
const (
	Approved Outcome = "approved"
	Denied   Outcome = "denied"
	// Alarmed: the citizen reported it, picked a wrong number or approved something
	// else than what we asked. One guess is all there is: the question is dead,
	// the browser's flow with it, and somebody should know.
	Alarmed Outcome = "alarmed"
)

// Judge decides what a verified answer to p comes to. An approval without user
// verification is ErrRefused and leaves the question open: the phone may ask its
// owner and come again.
func (a Approval) Judge(p Pending, now time.Time) (Outcome, error) {
	if a.ID.IsZero() || a.ID != p.ID || len(p.Context) == 0 || p.Number < minNumber || p.Number > maxNumber {
		return "", refuse("an answer to another question")
	}
	if !now.Before(p.Expires) {
		return "", ErrExpired
	}
	switch a.Decision {
	case Deny:
		return Denied, nil
	case Report:
		return Alarmed, nil
	case Approve:
	default:
		return "", refuse("no decision")
	}
	if !a.UserVerified {
		return "", refuse("approved without user verification")
	}
	same := subtle.ConstantTimeCompare([]byte(a.ContextHash), []byte(ContextHash(p.Context)))
	picked := subtle.ConstantTimeEq(int32(a.Number), int32(p.Number))
	if same&picked != 1 {
		return Alarmed, nil
	}
	return Approved, nil
}

// A Context is what the phone shows before it asks: what you see is what you sign.
type Context struct {
	ApprovalID identity.ID `json:"approval_id"`
	Action     string      `json:"action"`         // sign-in, step-up, or approve for what Detail says
	Client     string      `json:"client"`         // the application's registered name
	Host       string      `json:"host,omitempty"` // it will be sent to
	Browser    string      `json:"browser"`        // family and system of the browser that asks
	Place      string      `json:"place"`          // where that browser seems to be
	At         time.Time   `json:"at"`
	Detail     string      `json:"detail,omitempty"` // an amount, a hospital; a line for each
	Choices    []int       `json:"choices"`          // the three numbers to pick from
}

// Encode writes the context once. These bytes are stored, sent and hashed; nobody
// encodes them again.
func (c Context) Encode() ([]byte, error) {
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing an approval's context: %w", err)
	}
	return b, nil
}

// ContextHash is SHA-256 over the context's bytes as they were sent, in base64url.
func ContextHash(context []byte) string {
	sum := sha256.Sum256(context)
	return encode64(sum[:])
}

const (
	minNumber, maxNumber = 10, 99 // two digits, read without zeros
	choices              = 3
)

// NewNumbers draws the number a browser shows and the three, in order of size,
// that the phone offers; right is among them. Randomness is crypto/rand.Reader
// outside tests.
func NewNumbers(r io.Reader) (right int, offered []int, err error) {
	for len(offered) < choices {
		n, err := draw(r, maxNumber-minNumber+1)
		if err != nil {
			return 0, nil, fmt.Errorf("drawing numbers: %w", err)
		}
		if n += minNumber; !slices.Contains(offered, n) {
			offered = append(offered, n)
		}
	}
	// The three are drawn alike, so the first is as good as any; sorting hides
	// which it was.
	right = offered[0]
	slices.Sort(offered)
	return right, offered, nil
}

// draw returns a number below n, all equally likely. n is at most 256.
func draw(r io.Reader, n int) (int, error) {
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, err
		}
		if int(b[0]) < 256/n*n {
			return int(b[0]) % n, nil
		}
	}
}
