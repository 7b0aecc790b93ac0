package deviceapi

import (
	"encoding/json"
	"net/http"
	"testing"

	"ecardid/identity"
	"ecardid/internal/jose"
)

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
