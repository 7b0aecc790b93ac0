package jose

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func standardOf(t *testing.T, doc string) (Standard, error) {
	t.Helper()
	ms, err := object([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return standard(ms)
}

func TestStandard(t *testing.T) {
	s, err := standardOf(t, `{"iss":"i","sub":"s","aud":["a","b"],"exp":1900000000.5,"nbf":0,"iat":1.8e9,"jti":"j","x":1}`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Issuer != "i" || s.Subject != "s" || s.ID != "j" || s.Audience.Single() || len(s.Audience.Values()) != 2 {
		t.Errorf("%+v", s)
	}
	if got := s.Expires.UnixMilli(); got != 1900000000500 {
		t.Errorf("exp %d", got)
	}
	if s.NotBefore.IsZero() || s.NotBefore.Unix() != 0 {
		t.Error("nbf 0 is 1970, not absent")
	}
	if s.IssuedAt.Unix() != 1800000000 {
		t.Errorf("iat %v", s.IssuedAt)
	}

	for _, doc := range []string{
		`{"iss":1}`, `{"iss":null}`, `{"sub":["s"]}`, `{"jti":{}}`,
		`{"aud":null}`, `{"aud":1}`, `{"aud":[1]}`, `{"aud":["a",null]}`, `{"aud":{}}`,
		`{"exp":"1900000000"}`, `{"exp":null}`, `{"exp":true}`, `{"exp":[]}`, `{"exp":-1}`, `{"exp":1e400}`,
		`{"exp":1e12}`, `{"exp":253402300800}`, `{"exp":99999999999999999999}`, `{"nbf":"x"}`, `{"iat":""}`,
		`{"iat":1.` + strings.Repeat("0", 40) + `}`,
	} {
		s, err := standardOf(t, doc)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", doc, err)
		}
		if s.Issuer != "" || !s.Expires.IsZero() || !s.Audience.IsZero() {
			t.Errorf("%s: %+v came back", doc, s)
		}
		// Through encoding/json the dates and aud are as strict.
		if !strings.Contains(doc, "null}") && json.Unmarshal([]byte(doc), &s) == nil {
			t.Errorf("%s: decoded", doc)
		}
	}
}

func TestStandardEncodes(t *testing.T) {
	at := time.Unix(1800000000, 999)
	doc, err := json.Marshal(struct {
		Standard
		Scope string `json:"scope"`
	}{Standard{Issuer: "i", Audience: To("a"), Expires: Date(at)}, "openid"})
	if err != nil || string(doc) != `{"iss":"i","aud":"a","exp":1800000000,"scope":"openid"}` {
		t.Errorf("%s, %v", doc, err)
	}
	doc, err = json.Marshal(Standard{Audience: To("a", "b")})
	if err != nil || string(doc) != `{"aud":["a","b"]}` {
		t.Errorf("%s, %v", doc, err)
	}
	var back Standard
	if err := json.Unmarshal(doc, &back); err != nil || !back.Audience.Contains("b") {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestAudience(t *testing.T) {
	for doc, want := range map[string]struct{ only, contains bool }{
		`"a"`:       {true, true},
		`["a"]`:     {false, true},
		`["a","b"]`: {false, true},
		`["b"]`:     {false, false},
		`[]`:        {false, false},
		`""`:        {false, false},
		`"A"`:       {false, false},
	} {
		var a Audience
		if err := json.Unmarshal([]byte(doc), &a); err != nil {
			t.Fatal(err)
		}
		if a.Only("a") != want.only || a.Contains("a") != want.contains || a.IsZero() {
			t.Errorf("%s: only %t, contains %t", doc, a.Only("a"), a.Contains("a"))
		}
	}
	for _, raw := range []string{``, `"`, `"a`, `[`, "\"\xff\"", `"\"`} { // called by hand
		var a Audience
		if err := a.UnmarshalJSON([]byte(raw)); err == nil && raw != "\"\xff\"" || a.Contains("\xff") {
			t.Errorf("%q: %v", raw, a)
		}
		var d NumericDate
		if d.UnmarshalJSON([]byte(raw)) == nil {
			t.Errorf("%q: %v", raw, d)
		}
	}
	if (Audience{}).Only("") || (Audience{}).Contains("") || !(Audience{}).IsZero() {
		t.Error("a missing aud is something")
	}
}

func TestCheck(t *testing.T) {
	now := time.Unix(1800000000, 0)
	at := func(d time.Duration) NumericDate { return Date(now.Add(d)) }
	const leeway = 10 * time.Second
	for _, tt := range []struct {
		name string
		s    Standard
		w    Window
		want error
	}{
		{"good", Standard{Expires: at(time.Minute), NotBefore: at(0), IssuedAt: at(0)}, Window{Leeway: leeway}, nil},
		{"no exp", Standard{IssuedAt: at(0)}, Window{Leeway: leeway}, ErrMalformed},
		{"no exp, allowed", Standard{IssuedAt: at(0)}, Window{Leeway: leeway, NoExpiry: true}, nil},
		{"exp of 1970", Standard{Expires: Date(time.Unix(0, 0))}, Window{NoExpiry: true}, ErrExpired},
		{"on the second of exp", Standard{Expires: at(0)}, Window{}, ErrExpired},
		{"a second before", Standard{Expires: at(time.Second)}, Window{}, nil},
		{"within leeway", Standard{Expires: at(-9 * time.Second)}, Window{Leeway: leeway}, nil},
		{"at its end", Standard{Expires: at(-leeway)}, Window{Leeway: leeway}, ErrExpired},
		{"issued 10 s ahead", Standard{Expires: at(time.Minute), IssuedAt: at(leeway)}, Window{Leeway: leeway}, nil},
		{"issued 11 s ahead", Standard{Expires: at(time.Minute), IssuedAt: at(11 * time.Second)}, Window{Leeway: leeway}, ErrNotYet},
		{"nbf ahead", Standard{Expires: at(time.Minute), NotBefore: at(time.Minute)}, Window{Leeway: leeway}, ErrNotYet},
		{"life within bounds", Standard{Expires: at(5 * time.Minute)}, Window{MaxLife: 5 * time.Minute}, nil},
		{"life too long", Standard{Expires: at(5*time.Minute + time.Second)}, Window{MaxLife: 5 * time.Minute}, ErrMalformed},
		{"year 9999", Standard{Expires: Date(time.Unix(maxDate, 0))}, Window{Leeway: leeway, MaxLife: time.Hour}, ErrMalformed},
	} {
		if err := tt.s.Check(now, tt.w); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
