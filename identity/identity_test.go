package identity

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

var (
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	phone = ID{1}
)

func TestAssess(t *testing.T) {
	at := func(f Factor, change ...func(*Proof)) Proof {
		p := Proof{Factor: f, At: noon}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	passkey := at(FactorPasskey, func(p *Proof) { p.Verified, p.Hardware, p.Device = true, true, phone })
	synced := at(FactorPasskey, func(p *Proof) { p.Verified, p.Synced = true, true })
	boundPhone := at(FactorPhone, func(p *Proof) { p.Device, p.Verified = phone, true })
	face := at(FactorFace, func(p *Proof) { p.Txn = "t1" })

	for _, c := range []struct {
		name   string
		proofs []Proof
		since  time.Time
		txn    string
		now    time.Time
		want   Level
		amr    []string
	}{
		{"nothing", nil, time.Time{}, "", noon, LevelNone, nil},
		{"password", []Proof{at(FactorPassword)}, time.Time{}, "", noon, LevelBasic, []string{"pwd"}},
		{"code-alone", []Proof{at(FactorTOTP)}, time.Time{}, "", noon, LevelNone, []string{"otp"}},
		{"password-and-code", []Proof{at(FactorPassword), at(FactorTOTP)}, time.Time{}, "", noon, LevelMFA, []string{"pwd", "otp", "mfa"}},
		// Two of the same kind are one factor.
		{"password-twice", []Proof{at(FactorPassword), at(FactorPassword)}, time.Time{}, "", noon, LevelBasic, []string{"pwd"}},
		// A recovery code leads to re-binding and not to a token (MF4).
		{"password-and-recovery", []Proof{at(FactorPassword), at(FactorRecovery)}, time.Time{}, "", noon, LevelBasic, []string{"pwd"}},
		// Nor to a high one by way of the key that was bound with it.
		{"recovery-then-a-bound-key", []Proof{at(FactorPassword), at(FactorRecovery), passkey}, time.Time{}, "", noon, LevelMFA, []string{"pwd", "hwk", "user", "mfa"}},
		{"recovery-then-a-phone", []Proof{at(FactorPassword), at(FactorRecovery), boundPhone}, time.Time{}, "", noon, LevelMFA, []string{"pwd", "swk", "user", "mfa"}},
		{"recovery-then-a-code", []Proof{at(FactorPassword), at(FactorRecovery), at(FactorTOTP)}, time.Time{}, "", noon, LevelMFA, []string{"pwd", "otp", "mfa"}},
		{"recovery-then-a-face", []Proof{at(FactorRecovery), passkey, face}, time.Time{}, "t1", noon, LevelMFA, []string{"hwk", "user", "mfa"}},
		// A max_age that falls between the two does not wash it off.
		{"recovery-before-what-counts", []Proof{at(FactorRecovery, func(p *Proof) { p.At = noon.Add(-time.Minute) }), passkey}, noon.Add(-time.Second), "", noon, LevelMFA, []string{"hwk", "user", "mfa"}},
		{"passkey", []Proof{passkey}, time.Time{}, "", noon, LevelBound, []string{"hwk", "user", "mfa"}},
		// A key that is copied between devices lives on none of them.
		{"synced-passkey", []Proof{synced}, time.Time{}, "", noon, LevelMFA, []string{"swk", "user", "mfa"}},
		{"passkey-without-user-verification", []Proof{at(FactorPasskey, func(p *Proof) { p.Device = phone })}, time.Time{}, "", noon, LevelNone, nil},
		{"password-and-phone", []Proof{at(FactorPassword), boundPhone}, time.Time{}, "", noon, LevelBound, []string{"pwd", "swk", "user", "mfa"}},
		{"phone-alone", []Proof{boundPhone}, time.Time{}, "", noon, LevelNone, []string{"swk", "user"}},
		{"face-alone", []Proof{face}, time.Time{}, "t1", noon, LevelNone, nil},
		// Face stands on a bound key or not at all.
		{"face-on-mfa", []Proof{at(FactorPassword), at(FactorTOTP), face}, time.Time{}, "t1", noon, LevelMFA, []string{"pwd", "otp", "mfa"}},
		{"live", []Proof{passkey, face}, time.Time{}, "t1", noon, LevelLive, []string{"hwk", "user", "face", "mfa"}},
		{"live-for-another-transaction", []Proof{passkey, face}, time.Time{}, "t2", noon, LevelBound, []string{"hwk", "user", "mfa"}},
		{"live-without-transaction", []Proof{passkey, at(FactorFace)}, time.Time{}, "", noon, LevelBound, []string{"hwk", "user", "mfa"}},
		{"live-five-minutes-later", []Proof{passkey, face}, time.Time{}, "t1", noon.Add(LiveFor), LevelLive, []string{"hwk", "user", "face", "mfa"}},
		{"live-too-late", []Proof{passkey, face}, time.Time{}, "t1", noon.Add(LiveFor + time.Millisecond), LevelBound, []string{"hwk", "user", "mfa"}},
		{"older-than-asked", []Proof{passkey}, noon.Add(time.Second), "", noon.Add(time.Minute), LevelNone, nil},
		{"from-the-future", []Proof{passkey}, time.Time{}, "", noon.Add(-time.Second), LevelNone, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := Assess(c.proofs, c.since, c.txn, c.now)
			if a.Level != c.want || !slices.Equal(a.AMR, c.amr) {
				t.Errorf("got level %d amr %v, want %d %v", a.Level, a.AMR, c.want, c.amr)
			}
		})
	}
}

func TestMeets(t *testing.T) {
	l := Login{Citizen: ID{7}, Proofs: []Proof{{Factor: FactorPassword, At: noon}}}
	for _, c := range []struct {
		name string
		need Need
		want bool
	}{
		{"basic", Need{Level: LevelBasic}, true},
		// A need that forgot to say how much still needs somebody.
		{"no-level-said", Need{}, true},
		{"no-level-said-but-fresh", Need{Since: noon.Add(time.Second)}, false},
		{"more-than-there-is", Need{Level: LevelMFA}, false},
		{"that-citizen", Need{Citizen: ID{7}}, true},
		{"another-citizen", Need{Citizen: ID{8}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := l.Meets(c.need, noon.Add(time.Minute)); got != c.want {
				t.Errorf("Meets = %v, want %v", got, c.want)
			}
		})
	}
}

func TestACR(t *testing.T) {
	for l := LevelBasic; l <= LevelLive; l++ {
		if got, ok := ParseACR(l.ACR()); !ok || got != l {
			t.Errorf("ParseACR(%q) = %v %v", l.ACR(), got, ok)
		}
	}
	for _, s := range []string{"", "0", "1", "urn:ecardid:acr:none", "URN:ecardid:acr:mfa"} {
		if l, ok := ParseACR(s); ok || l != LevelNone {
			t.Errorf("ParseACR(%q) = %v %v, want refused", s, l, ok)
		}
	}
}

func TestIDJSON(t *testing.T) {
	type row struct {
		A ID `json:"a"`
		B ID `json:"b,omitzero"`
	}
	in := row{A: NewID()}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out row
	if err := json.Unmarshal(b, &out); err != nil || out != in {
		t.Errorf("%s came back as %v, %v", b, out, err)
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(NewID().String())
	f.Add("AAAAAAAAAAAAAAAAAAAAAB")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil && !id.IsZero() {
			t.Errorf("%q failed and yet returned %v", s, id)
		}
		if err == nil && id.String() != s {
			t.Errorf("%q is a second spelling of %v", s, id)
		}
	})
}
