package account

import (
	"slices"
	"testing"
)

// FuzzDoors posts strangers' bytes to every door: never a fault of ours, and nothing
// done but what the page knows.
func FuzzDoors(f *testing.F) {
	for _, body := range []string{"do=totp-remove", "do=passkey-rename&id=x&name=y", "code-submit=1&code=123456", `{"response":{"clientDataJSON":"e30"}}`} {
		f.Add(body, "since=1")
	}
	known := []string{"remove totp", "renew recovery", "end other logins", "begin passkey", "open enrolment"}
	f.Fuzz(func(t *testing.T, body, query string) {
		r := newRoom(t)
		for _, route := range r.routes {
			if route.Method != "POST" || route.Pattern == signOutPath || route.Pattern == passwordPath {
				continue
			}
			if w := r.raw(route.Pattern, route.Takes, body); w.Code >= 500 {
				t.Errorf("%s: %d", route.Pattern, w.Code)
			}
		}
		req := get(phonePath + "/state")
		req.URL.RawQuery = query
		if w := r.send(req); w.Code >= 500 {
			t.Errorf("state: %d", w.Code)
		}
		for _, d := range r.done {
			if !slices.Contains(known, d) {
				t.Errorf("done %q", d)
			}
		}
	})
}
