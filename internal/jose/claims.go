package jose

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecardid/internal/strictjson"
)

// Standard is the registered claims (RFC 7519 §4.1), all of them optional there.
type Standard struct {
	Issuer    string      `json:"iss,omitempty"`
	Subject   string      `json:"sub,omitempty"`
	Audience  Audience    `json:"aud,omitzero"`
	Expires   NumericDate `json:"exp,omitzero"`
	NotBefore NumericDate `json:"nbf,omitzero"`
	IssuedAt  NumericDate `json:"iat,omitzero"`
	ID        string      `json:"jti,omitempty"`
}

// standard reads by exact name and type: encoding/json would take "EXP" for exp
// and null for a claim that was left out.
func standard(ms members) (s Standard, err error) {
	for name, into := range map[string]*string{"iss": &s.Issuer, "sub": &s.Subject, "jti": &s.ID} {
		if *into, _, err = ms.text(name); err != nil {
			return Standard{}, err
		}
	}
	for name, into := range map[string]*NumericDate{"exp": &s.Expires, "nbf": &s.NotBefore, "iat": &s.IssuedAt} {
		if raw, ok := ms.get(name); ok {
			if err := into.UnmarshalJSON(raw); err != nil {
				return Standard{}, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if raw, ok := ms.get("aud"); ok {
		if err := s.Audience.UnmarshalJSON(raw); err != nil {
			return Standard{}, fmt.Errorf("aud: %w", err)
		}
	}
	return s, nil
}

// checkSpelling refuses a registered claim in the wrong letter case, so that
// decoding by encoding/json and by exact name see the same claims.
func checkSpelling(ms members) error {
	for _, m := range ms {
		for _, name := range [...]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"} {
			if m.Name != name && strings.EqualFold(m.Name, name) {
				return fmt.Errorf("%w: %q in place of %q", ErrMalformed, m.Name, name)
			}
		}
	}
	return nil
}

// A Window says how Standard.Check looks at time.
type Window struct {
	Leeway  time.Duration // how far two honest clocks may be apart
	MaxLife time.Duration // how far ahead exp may lie, if not 0 (RFC 7523 §3)

	// NoExpiry allows exp to be missing. The caller then bounds the age itself.
	NoExpiry bool
}

// Check compares exp, nbf and iat with now. It refuses a token without exp
// unless w allows that; the others count where they are present.
func (s Standard) Check(now time.Time, w Window) error {
	switch {
	case s.Expires.IsZero():
		if !w.NoExpiry {
			return fmt.Errorf("%w: no exp", ErrMalformed)
		}
	case !now.Before(s.Expires.Add(w.Leeway)): // "on or after" is too late, RFC 7519 §4.1.4
		return ErrExpired
	case w.MaxLife > 0 && s.Expires.After(now.Add(w.MaxLife+w.Leeway)):
		return fmt.Errorf("%w: exp too far ahead", ErrMalformed)
	}
	if latest := now.Add(w.Leeway); s.NotBefore.After(latest) || s.IssuedAt.After(latest) {
		return ErrNotYet
	}
	return nil
}

// An Audience is aud: one string or an array of them (RFC 7519 §4.1.3). It keeps
// which it was, because some must be exactly one (SECURITY CA2).
type Audience struct {
	values []string
	single bool
}

// To is the audience of one, written as a string; of several, as an array.
func To(aud ...string) Audience { return Audience{slices.Clone(aud), len(aud) == 1} }

// Only reports whether aud is the one string want and was not sent as an array.
func (a Audience) Only(want string) bool {
	return a.single && len(a.values) == 1 && a.values[0] == want
}

// Contains reports whether want is among the audience.
func (a Audience) Contains(want string) bool { return slices.Contains(a.values, want) }

// Values returns the audience as a list.
func (a Audience) Values() []string { return slices.Clone(a.values) }

// Single reports whether aud was a string and not an array.
func (a Audience) Single() bool { return a.single }

// IsZero reports whether there was no aud.
func (a Audience) IsZero() bool { return a.values == nil }

// MarshalJSON implements json.Marshaler.
func (a Audience) MarshalJSON() ([]byte, error) {
	if a.single && len(a.values) == 1 {
		return json.Marshal(a.values[0])
	}
	return json.Marshal(a.values)
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Audience) UnmarshalJSON(raw []byte) error {
	if s, ok := strictjson.Text(raw); ok {
		*a = Audience{[]string{s}, true}
		return nil
	}
	var list []*string // a null inside would otherwise pass for ""
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &list) != nil || slices.Contains(list, nil) {
		return fmt.Errorf("%w: neither a string nor an array of strings", ErrMalformed)
	}
	values := make([]string, len(list))
	for i, s := range list {
		values[i] = *s
	}
	*a = Audience{values, false}
	return nil
}

// A NumericDate is a time in seconds since 1970 (RFC 7519 §2). Its zero value
// stands for a claim that is not there.
type NumericDate struct{ time.Time }

// Date returns t as a NumericDate.
func Date(t time.Time) NumericDate { return NumericDate{t} }

// MarshalJSON writes whole seconds: a fraction is allowed and trips readers.
func (d NumericDate) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, d.Unix(), 10), nil
}

// UnmarshalJSON accepts JSON numbers from 1970 to 9999, with or without a
// fraction, and nothing else: no string, no null, no number beyond all dates.
func (d *NumericDate) UnmarshalJSON(raw []byte) error {
	const longest = 32 // more digits than a float64 can tell apart
	if len(raw) == 0 || len(raw) > longest || raw[0] < '0' || raw[0] > '9' {
		return fmt.Errorf("%w: not a date", ErrMalformed)
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > maxDate {
		return fmt.Errorf("%w: not a date", ErrMalformed)
	}
	sec, frac := math.Modf(f)
	*d = NumericDate{time.Unix(int64(sec), int64(frac*1e9)).UTC()}
	return nil
}
