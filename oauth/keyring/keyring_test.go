package keyring

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// memory is storage's promise: one change at a time.
type memory struct {
	mu      sync.Mutex
	keys    []oauth.StoredKey
	changes int
	err     error
}

func (m *memory) SigningKeys(context.Context) ([]oauth.StoredKey, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.keys, m.err
}

func (m *memory) ChangeKeys(_ context.Context, plan func([]oauth.StoredKey) ([]oauth.StoredKey, error), _ audit.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	after, err := plan(m.keys)
	if err == nil {
		m.keys = after
		m.changes++
	}
	return err
}

func newKeyring(m *memory, clk clock.Clock) *Keyring {
	return &Keyring{Store: m, Policy: DefaultPolicy(jose.ES256), Clock: clk, Log: slog.New(slog.DiscardHandler)}
}

// A key is in public for NextFor before it signs, and stays until its last token
// has ended (KY5).
func TestRotation(t *testing.T) {
	clk, m := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), &memory{}
	k := newKeyring(m, clk)
	if _, err := k.Signer(jose.ES256); err == nil {
		t.Error("signs before it is loaded")
	}
	published, signedLast := map[string]time.Time{}, map[string]time.Time{}
	step := 30 * time.Minute
	for at := time.Duration(0); at < 200*24*time.Hour; at += step {
		if err := k.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		now := clk.Now()
		for _, key := range m.keys {
			if published[key.KID].IsZero() {
				published[key.KID] = now
			}
		}
		signer, err := k.Signer(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		if first := published[signer.KeyID()]; at > 0 && signedLast[signer.KeyID()].IsZero() && now.Sub(first) < k.Policy.NextFor && len(published) > 1 {
			t.Errorf("%s signs after %v", signer.KeyID(), now.Sub(first))
		}
		signedLast[signer.KeyID()] = now
		for kid, last := range signedLast {
			if _, ok := k.Ring().Find(kid); !ok && now.Sub(last) < k.Policy.RetireFor {
				t.Errorf("%s gone %v after its last signature", kid, now.Sub(last))
			}
		}
		clk.Advance(step)
	}
	if len(signedLast) != 3 {
		t.Errorf("%d keys in 200 days", len(signedLast))
	}
}

func TestTwoReplicasRotateOnce(t *testing.T) {
	clk, m := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), &memory{}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if err := newKeyring(m, clk).Rotate(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(m.keys) != 1 {
		t.Errorf("%d first keys", len(m.keys))
	}
}

func TestKeyringKeepsItsRing(t *testing.T) {
	clk, m := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), &memory{}
	k := newKeyring(m, clk)
	if err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := k.Ring()
	m.err = errors.New("away")
	if err := k.Rotate(t.Context()); err == nil || k.Ring() != before {
		t.Error("a failed reading changed the ring")
	}
}

// One RotateNow is enough: the replicas' own turns do the rest.
func TestRotateNow(t *testing.T) {
	clk, m := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), &memory{}
	k := newKeyring(m, clk)
	signer := func() string {
		t.Helper()
		if err := k.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		key, err := k.Signer(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		return key.KeyID()
	}
	first := signer()
	clk.Advance(24 * time.Hour)
	for range 3 { // an operator in a hurry
		if err := newKeyring(m, clk).RotateNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(m.keys) != 2 || signer() != first {
			t.Fatalf("%d keys, signing with %s", len(m.keys), signer())
		}
		clk.Advance(k.Policy.NextFor/3 - time.Second)
	}
	clk.Advance(3 * time.Second)
	second := signer()
	if second == first {
		t.Error("the successor does not sign")
	}
	if _, ok := k.Ring().Find(first); !ok {
		t.Error("what the first key signed cannot be verified")
	}
	// And that was it: the next rotation is ordinary.
	clk.Advance(k.Policy.ActiveFor - k.Policy.NextFor - time.Second)
	if signer() != second || len(m.keys) != 1 {
		t.Errorf("%d keys, signing with %s", len(m.keys), signer())
	}
}

// RSA keys are not waited for at the start, are made once, and sign at once.
func TestSlowKeysComeLater(t *testing.T) {
	clk, m := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), &memory{}
	k := newKeyring(m, clk)
	k.Policy = DefaultPolicy()
	if err := k.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	for alg, want := range map[jose.Alg]bool{jose.ES256: true, jose.SM2: true, jose.RS256: false, jose.PS256: false} {
		if _, err := k.Signer(alg); (err == nil) != want {
			t.Errorf("%s after the start: %v", string(alg), err)
		}
	}
	for range 2 {
		if err := k.Renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, alg := range k.Policy.Algs {
		if _, err := k.Signer(alg); err != nil {
			t.Error(err)
		}
	}
	if len(m.keys) != 4 || m.changes != 2 {
		t.Errorf("%d keys after %d changes", len(m.keys), m.changes)
	}
}
