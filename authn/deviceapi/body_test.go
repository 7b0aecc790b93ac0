package deviceapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"ecardid/identity"
	"ecardid/internal/jose"
)

func TestMembers(t *testing.T) {
	const good = `{"a":"x","list":["y"],"in":{"b":"z"}}`
	for body, ok := range map[string]bool{
		good:                                   true,
		" " + good + "\n":                      true,
		`{"a":"x","list":[],"in":{"b":"z"}}`:   true,
		`{"a":"x","in":{"b":"z"}}`:             true, // list? may be missing
		`{"a":"x","list":null,"in":{"b":"z"}}`: false,
		`{"a":null,"in":{"b":"z"}}`:            false,
		`{"a":"x","in":null}`:                  false,
		`{"a":"x","in":{"b":"z","c":1}}`:       false,
		`{"a":"x","in":{"b":"z","b":"z"}}`:     false,
		`{"a":"x","in":{}}`:                    false,
		`{"a":"x","A":"x","in":{"b":"z"}}`:     false,
		`{"a":"x","in":{"b":"z"},"list?":[]}`:  false,
		`{"a":"x","in":{"b":"z"}`:              false,
		good + good:                            false,
		`{"a":"\ud800\u0000","in":{"b":"z"}}`:  false,
		"\xef\xbb\xbf" + good:                  false,
		`[` + good + `]`:                       false,
		strings.Repeat(`{"a":`, 20000):         false,
	} {
		m := parseMembers([]byte(body), "a", "list?", "in")
		m.text("a", 8)
		m.texts("list", 2, 8)
		in := m.object("in", "b")
		in.text("b", 8)
		if got := m.err == nil && in.err == nil; got != ok {
			t.Errorf("%.60s: %v (%v, %v)", body, got, m.err, in.err)
		}
	}
}

// FuzzMembers: what failed to parse gives nothing, and what parsed is JSON without a
// doubled name.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":"x","list":["y"]}`))
	f.Add([]byte(`{"a":"x","a":"y"}`))
	f.Add([]byte(`{"a":{"a":1}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := parseMembers(raw, "a", "list?")
		if m.err != nil && m.raw != nil {
			t.Fatal("members of a document that does not parse")
		}
		text, list := m.text("a", 8), m.texts("list", 4, 8)
		if m.err != nil {
			return
		}
		if !json.Valid(raw) || len(text) == 0 || len(text) > 8 || len(list) > 4 {
			t.Fatalf("%q: %q %q", raw, text, list)
		}
	})
}

// FuzzDoors sends strangers' bytes to every door that reads a body: never a fault of
// ours, never a phone.
func FuzzDoors(f *testing.F) {
	w := newWorld(f)
	h := w.bound(identity.NewID(), jose.ES256, "none")
	known := *w.mem.devices[h.id]
	code, _ := w.open(identity.NewID())
	f.Add(string(w.enrol(w.signer(jose.SM2), w.claim(code), "none")))
	f.Add(`{"code":"x"}`)
	f.Add(`{"name":"x"}`)
	f.Fuzz(func(t *testing.T, body string) {
		w := newWorld(t)
		code, _ := w.open(identity.NewID())
		c := w.claim(code)
		for _, path := range []string{"/device/v1/enrolments", c.path()} {
			if a := w.post(path, body); a.status < 400 || a.status >= 500 || !json.Valid([]byte(a.body)) {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
		w.mem.devices[h.id] = &known
		h := handset{h.Signer, w, h.id}
		if a := send(w.server, h.sign(http.MethodPatch, h.self(), []byte(body))); a.status >= 500 {
			t.Errorf("rename: %d %s", a.status, a.body)
		}
		q := w.ask(w.mem.devices[h.id].Citizen)
		if a := send(w.server, h.sign(http.MethodPost, "/device/v1/approvals/"+q.ID.String(), []byte(body))); a.status < 400 || a.status >= 500 {
			t.Errorf("approval: %d %s", a.status, a.body)
		}
	})
}
