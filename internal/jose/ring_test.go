package jose

import (
	"strings"
	"testing"
)

func TestRing(t *testing.T) {
	es := []Key{mustGenerate(t, ES256, "e-next"), mustGenerate(t, ES256, "e-active"), mustGenerate(t, ES256, "e-retired"), mustGenerate(t, ES256, "e-gone")}
	sm, ed := mustGenerate(t, SM2, "s-active"), mustGenerate(t, EdDSA, "d-active")
	keys := []RingKey{
		{es[0], Next}, {es[1], Active}, {es[2].Public(), Retired}, {es[3], Gone}, {sm, Active}, {ed, Active},
	}
	r, err := NewRing(keys)
	if err != nil {
		t.Fatal(err)
	}
	if k, ok := r.Active(ES256); !ok || k.KeyID() != "e-active" || !k.CanSign() {
		t.Errorf("Active(ES256) = %v, %t", k, ok)
	}
	if k, ok := r.Active(RS256); ok {
		t.Errorf("Active(RS256) = %v", k)
	}
	for kid, want := range map[string]bool{"e-next": true, "e-active": true, "e-retired": true, "e-gone": false, "s-active": true, "": false, "x": false} {
		if _, ok := r.Find(kid); ok != want {
			t.Errorf("Find(%q): %t", kid, ok)
		}
	}
	public, err := ParseSet([]byte(r.Public())) // refuses any private member
	if err != nil || public.Len() != 4 {
		t.Errorf("%s: %v", r.Public(), err)
	}
	if strings.Contains(r.Public(), "SM2") || strings.Contains(r.Public(), "e-gone") {
		t.Errorf("published: %s", r.Public())
	}
	national, err := ParseSet([]byte(r.SM2Public()))
	if err != nil || national.Len() != 1 {
		t.Errorf("%s: %v", r.SM2Public(), err)
	}

	// The order of the rows does not show.
	keys[0], keys[5] = keys[5], keys[0]
	again, err := NewRing(keys)
	if err != nil || again.Public() != r.Public() {
		t.Errorf("other order, other document: %v", err)
	}

	compact, err := Sign(es[2], "JWT", struct{}{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := Parse(compact)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(r, ES256); err != nil {
		t.Errorf("token of a retired key: %v", err)
	}

	empty, err := NewRing(nil)
	if err != nil || empty.Public() != `{"keys":[]}` || empty.SM2Public() != `{"keys":[]}` {
		t.Errorf("empty ring: %v", err)
	}
}

func TestRingRefuses(t *testing.T) {
	a, b := mustGenerate(t, ES256, "a"), mustGenerate(t, ES256, "b")
	for name, keys := range map[string][]RingKey{
		"two active":         {{a, Active}, {b, Active}},
		"one kid twice":      {{a, Active}, {mustGenerate(t, SM2, "a"), Active}},
		"active, public":     {{a.Public(), Active}},
		"next, public":       {{a.Public(), Next}},
		"unknown state":      {{a, "paused"}},
		"no state":           {{a, ""}},
		"no key":             {{Key{}, Active}},
		"no kid":             {{mustKey(t, ecA3), Retired}},
		"unbound":            {{mustKey(t, strings.TrimSuffix(rsaA2, "}")+`,"kid":"r"}`), Retired}},
		"gone, but a no-key": {{Key{}, Gone}},
	} {
		if r, err := NewRing(keys); err == nil || r != nil {
			t.Errorf("%s: no error", name)
		}
	}
}
