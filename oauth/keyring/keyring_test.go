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

func TestRotateNow(t *testing.T) {
	clk, m := clock.At(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)), &memory{}
	k := newKeyring(m, clk)
	var kids []string
	for range 3 {
		if err := k.RotateNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		key, err := k.Signer(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		kids = append(kids, key.KeyID())
		clk.Advance(k.Policy.NextFor + time.Second)
	}
	if kids[0] == kids[2] {
		t.Errorf("signs with %v", kids)
	}
}
