package loss

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/jose"
)

func TestNumber(t *testing.T) {
	for range 200 {
		n, err := NewNumber(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		s := n.String()
		if len(s) != 14 || s[4] != '-' || s[9] != '-' {
			t.Fatal(s)
		}
		for _, typed := range []string{s, strings.ToLower(s), string(n), " " + strings.ReplaceAll(s, "-", " ") + " ", strings.NewReplacer("0", "o", "1", "l").Replace(s)} {
			if got, err := ParseNumber(typed); err != nil || got != n {
				t.Errorf("%q: %v, %v", typed, got, err)
			}
		}
		// One character misheard is found, wherever it is.
		for i := range len(n) {
			b := []byte(n)
			for b[i] == n[i] {
				b[i] = alphabet[(strings.IndexByte(alphabet, n[i])+7)%len(alphabet)]
			}
			if _, err := ParseNumber(string(b)); !errors.Is(err, ErrNumber) {
				t.Errorf("%s passes for %s", b, n)
			}
		}
	}
	if _, err := NewNumber(strings.NewReader("short")); err == nil {
		t.Error("a dry source gave a number")
	}
}

func FuzzParseNumber(f *testing.F) {
	f.Add("7Q2M-K9RX-41TB")
	f.Add("ſſſſ-0000-0000")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNumber(s)
		if err != nil {
			if n != "" {
				t.Errorf("%q failed and yet gave %q", s, n)
			}
			return
		}
		if again, err := ParseNumber(n.String()); err != nil || again != n {
			t.Errorf("%q reads as %q and that as %q, %v", s, n, again, err)
		}
	})
}

// memory remembers one report.
type memory struct {
	r    Report
	e    audit.Event
	fail error
}

func (m *memory) ReportLoss(_ context.Context, r Report, e audit.Event) error {
	if m.fail == nil {
		m.r, m.e = r, e
	}
	return m.fail
}

func (m *memory) LossReceipt(_ context.Context, key []byte) (What, time.Time, string, error) {
	if !slices.Equal(key, m.r.Key) {
		return "", time.Time{}, "", identity.ErrNotFound
	}
	return m.r.What, m.e.At, m.r.Signed, nil
}

func TestDesk(t *testing.T) {
	key, err := jose.Generate(jose.SM2, "receipts")
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	var none error
	d := &Desk{Store: m, Issuer: "https://login.ecard.test", Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Signer: func() (jose.Key, error) { return key, none },
		Keyed:  func(b []byte) ([]byte, error) { return slices.Concat([]byte("keyed "), b), nil },
	}
	citizen, now := identity.NewID(), time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	e := audit.Event{At: now, Actor: audit.ByCitizen, Detail: map[string]string{"via": "form"}}
	got, err := d.Report(t.Context(), Report{Citizen: citizen, What: Card}, e)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := jose.Parse(got.Signed)
	if err != nil {
		t.Fatal(err)
	}
	v, err := tok.VerifyKey(key.Public(), jose.SM2)
	if err != nil || !tok.Header.Is(ReceiptType) {
		t.Fatalf("%v, %+v", err, tok.Header)
	}
	var said map[string]any
	if err := v.Claims(&said); err != nil {
		t.Fatal(err)
	}
	// What ended and when, and nobody's name.
	if len(said) != 4 || said["iss"] != d.Issuer || said["jti"] != got.Number.String() || said["lost"] != "card" || said["iat"] != float64(now.Unix()) {
		t.Errorf("the receipt says %v", said)
	}
	if m.e.Kind != audit.LossReported || m.e.Citizen != citizen || !m.e.Notify || m.e.Detail["receipt"] != got.Number.String() ||
		m.e.Detail["signed"] != got.Signed || m.e.Detail["via"] != "form" || e.Detail["receipt"] != "" {
		t.Errorf("the trail says %+v", m.e)
	}
	if back, err := d.Receipt(t.Context(), got.Number); err != nil || back != got {
		t.Errorf("%+v, %v", back, err)
	}
	other, _ := NewNumber(rand.Reader)
	if _, err := d.Receipt(t.Context(), other); !errors.Is(err, identity.ErrNotFound) {
		t.Error(err)
	}
	// A loss does not wait for a key.
	none = errors.New("no key")
	if got, err := d.Report(t.Context(), Report{Citizen: citizen, What: Phone}, e); err != nil || got.Signed != "" || m.r.What != Phone {
		t.Errorf("%+v, %v", got, err)
	}
	// And nothing is claimed that did not happen (SECURITY G5).
	m.fail = errors.New("read-only database")
	if got, err := d.Report(t.Context(), Report{Citizen: citizen, What: Phone}, e); !errors.Is(err, m.fail) || got != (Receipt{}) {
		t.Errorf("%+v, %v", got, err)
	}
}
