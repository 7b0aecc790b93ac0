package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/identity"
)

// doorRule throttles guesses by source; a counter over all sources only counts, for a
// stranger could shut the door for everybody (SECURITY PW2, PW3).
func doorRule() authn.Rule {
	return authn.Rule{Free: 20, Base: 30 * time.Second, Cap: 15 * time.Minute, Per: time.Hour}
}

const (
	maxDepth     = 16  // of JSON; a real answer has four
	ceremonyRule = 600 // challenges an hour from one source
	alarmCount   = 100 // wrong guesses within ten minutes from anywhere: staff are few
	alarmPeriod  = 10 * time.Minute
)

func (s *Service) counter(words ...string) ([]byte, error) {
	var m []byte
	for _, w := range append([]string{"console"}, words...) {
		m = append(m, byte(len(w)))
		m = append(m, w...)
	}
	key, err := s.Throttle(m)
	if err != nil {
		return nil, fmt.Errorf("keying a counter: %w", err)
	}
	return key, nil
}

// guess counts a try before it is judged. right takes it back.
func (s *Service) guess(r *http.Request) (right func(ctx context.Context) error, err error) {
	now := s.Clock.Now()
	source, err := s.counter("source", authn.SourceKey(s.Source(r)))
	if err != nil {
		return nil, err
	}
	global, err := s.counter("global")
	if err != nil {
		return nil, err
	}
	tallies, err := s.Attempts.Attempt(r.Context(), now, authn.Try{Key: source, Rule: doorRule()},
		authn.Try{Key: global, Rule: authn.Rule{Free: math.MaxInt32, Base: time.Second, Cap: time.Second, Per: alarmPeriod}})
	if err != nil || len(tallies) != 2 {
		return nil, fmt.Errorf("counting an attempt: %w", errors.Join(err, errTallies(tallies)))
	}
	if tallies[1].Count == alarmCount {
		s.Log.WarnContext(r.Context(), "many wrong keys at the console", "alarm", true, "count", tallies[1].Count)
		if err := s.record(r.Context(), audit.Event{Kind: audit.SprayingSuspected, At: now, Actor: audit.BySystem, Detail: map[string]string{"at": "console"}}); err != nil {
			return nil, fmt.Errorf("recording an alarm: %w", err)
		}
	}
	if !tallies[0].Allowed {
		return nil, errThrottled
	}
	return func(ctx context.Context) error {
		return s.Attempts.Settle(ctx, nil, source, global)
	}, nil
}

func errTallies(t []authn.Tally) error {
	if len(t) == 2 {
		return nil
	}
	return errors.New("console: the counters gave another number of answers than they were asked for")
}

// ceremonies of staff are kept under purposes of their own (SECURITY G2): what a citizen
// began finishes nothing here.
func staffPurpose(what string) string { return "staff " + what }

func owner(parts ...string) []byte {
	h := sha256.New()
	for _, p := range append([]string{"staff"}, parts...) {
		fmt.Fprintf(h, "%d\x00%s", len(p), p)
	}
	return h.Sum(nil)
}

// ownerAt is the owner of a ceremony of nobody yet: the browser that began it, so that an
// answer made for one brings nobody in at another (SECURITY SS1, WA1).
func (s *Service) ownerAt(r *http.Request, parts ...string) []byte {
	return owner(append(parts, string(s.Browser(r)))...)
}

func ceremonyID(challenge string) identity.ID {
	h := sha256.Sum256([]byte("staff challenge\x00" + challenge))
	return identity.ID(h[:16])
}

func (s *Service) keep(r *http.Request, purpose string, of []byte, c passkey.Ceremony) error {
	key, err := s.counter("ceremony", authn.SourceKey(s.Source(r)))
	if err != nil {
		return err
	}
	tallies, err := s.Attempts.Attempt(r.Context(), s.Clock.Now(), authn.Try{Key: key, Rule: authn.Rule{Free: ceremonyRule, Base: 5 * time.Second, Cap: time.Minute, Per: time.Hour}})
	if err != nil || len(tallies) != 1 {
		return fmt.Errorf("counting a ceremony: %w", err)
	}
	if !tallies[0].Allowed {
		return errThrottled
	}
	data, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding a ceremony: %w", err)
	}
	if err := s.Ceremonies.PutCeremony(r.Context(), authn.Ceremony{ID: ceremonyID(c.Session.Challenge), Purpose: staffPurpose(purpose), Owner: of, Data: data, Expires: c.Expires}); err != nil {
		return fmt.Errorf("storing a ceremony: %w", err)
	}
	return nil
}

// take takes out the ceremony an answer belongs to, once, whatever the answer is worth.
func (s *Service) take(ctx context.Context, body []byte, purpose string, of []byte) (passkey.Ceremony, error) {
	challenge, err := passkey.Challenge(body)
	if err != nil {
		return passkey.Ceremony{}, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	kept, err := s.Ceremonies.TakeCeremony(ctx, ceremonyID(challenge), staffPurpose(purpose), of, s.Clock.Now())
	if err != nil {
		return passkey.Ceremony{}, fmt.Errorf("taking a ceremony: %w", err)
	}
	var c passkey.Ceremony
	if err := json.Unmarshal(kept.Data, &c); err != nil {
		return passkey.Ceremony{}, fmt.Errorf("decoding a ceremony: %w", err)
	}
	return c, nil
}

// assert judges an answer of a staff key. errPasskey is the one no.
func (s *Service) assert(r *http.Request, body []byte, purpose string, of []byte) (Key, Staff, error) {
	ctx := r.Context()
	if _, err := passkey.Challenge(body); err != nil {
		return Key{}, Staff{}, fmt.Errorf("%w: %w", errBadRequest, err)
	}
	right, err := s.guess(r)
	if err != nil {
		return Key{}, Staff{}, err
	}
	no := func(why string, cause error) (Key, Staff, error) {
		s.Refusals.Note(ctx, audit.Event{Kind: audit.StaffRefused, Reason: why, Place: s.Place(r)})
		return Key{}, Staff{}, errors.Join(errPasskey, cause)
	}
	c, err := s.take(ctx, body, purpose, of)
	if errors.Is(err, identity.ErrNotFound) {
		return no("no such challenge", err)
	}
	if err != nil {
		return Key{}, Staff{}, err
	}
	var key Key
	var staff Staff
	res, err := s.Passkeys.FinishLogin(ctx, c, bytes.NewReader(body), func(ctx context.Context, id []byte) (passkey.Credential, error) {
		var err error
		key, staff, err = s.Staffs.StaffKey(ctx, id)
		return key.Credential, err
	})
	var refusal *passkey.Error
	switch {
	case errors.Is(err, passkey.ErrMalformed):
		return Key{}, Staff{}, fmt.Errorf("%w: %w", errBadRequest, err)
	case errors.Is(err, passkey.ErrCloned):
		key.Credential = res.Credential // disabled from now on
		e := audit.Event{Kind: audit.StaffKeyCloned, At: s.Clock.Now(), Actor: audit.BySystem, Reason: "the counter went back", Detail: map[string]string{"staff": staff.ID.String(), "key": key.ID.String()}}
		if err := errors.Join(s.Staffs.DisableStaffKey(ctx, key.ID, e)); err != nil && !errors.Is(err, identity.ErrNotFound) {
			return Key{}, Staff{}, fmt.Errorf("disabling a copied key: %w", err)
		}
		return Key{}, Staff{}, errPasskey
	case errors.As(err, &refusal):
		return no("key", err)
	case err != nil:
		return Key{}, Staff{}, fmt.Errorf("finishing a ceremony: %w", err)
	case !res.UserVerified || res.Verdict != passkey.Accept || !bytes.Equal(key.Credential.UserHandle, staff.ID[:]):
		return no("verification", nil)
	}
	key.Credential = res.Credential
	if err := s.Staffs.UseStaffKey(ctx, key); errors.Is(err, identity.ErrSpent) || errors.Is(err, identity.ErrNotFound) {
		return no("counter", err)
	} else if err != nil {
		return Key{}, Staff{}, fmt.Errorf("using a key: %w", err)
	}
	return key, staff, right(ctx)
}
