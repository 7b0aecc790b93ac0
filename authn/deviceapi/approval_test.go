package deviceapi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/phone"
	"ecardid/identity"
	"ecardid/internal/jose"
)

func TestApproval(t *testing.T) {
	for _, alg := range phone.Algorithms() {
		for format, hardware := range map[string]bool{"none": false, "test": true} {
			w, citizen := newWorld(t), identity.NewID()
			h := w.bound(citizen, alg, format)
			q := w.ask(citizen)
			w.ask(identity.NewID()) // somebody else's
			w.clock.Advance(5 * time.Second)
			var list struct {
				Approvals []struct {
					ID        identity.ID `json:"approval_id"`
					Context   string      `json:"context"`
					Choices   []int       `json:"choices"`
					Age       int         `json:"age"`
					ExpiresIn int         `json:"expires_in"`
				} `json:"approvals"`
			}
			h.send(http.MethodGet, "/device/v1/approvals", "").decode(t, &list)
			if len(list.Approvals) != 1 {
				t.Fatalf("%d questions", len(list.Approvals))
			}
			got := list.Approvals[0]
			if got.ID != q.ID || got.Age != 5 || got.ExpiresIn != 115 || len(got.Choices) != 3 {
				t.Errorf("%+v", got)
			}
			// The phone hashes the text as it came; that must be what was stored.
			a := h.decide(phone.Approval{
				ID: got.ID, Decision: phone.Approve, Number: q.Number,
				ContextHash: phone.ContextHash([]byte(got.Context)), UserVerified: true,
			})
			if a.status != http.StatusOK || !strings.Contains(a.body, `"approved"`) {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if kept := w.approval(q.ID); kept.State != authn.ApprovalApproved || !kept.Verified || kept.Hardware != hardware || kept.Device != h.id {
				t.Errorf("stored %+v", kept)
			}
			if !w.mem.wrote(audit.PhoneApproved) {
				t.Error("not in the trail")
			}
			if a := h.decide(approve(q)); a.status != http.StatusConflict || a.code() != "already_answered" {
				t.Errorf("a second answer: %d %s", a.status, a.body)
			}
		}
	}
}

func TestApprovalRefusals(t *testing.T) {
	for _, row := range []struct {
		name   string
		bend   func(w *world, q authn.Approval, a *phone.Approval)
		other  bool // answered by another citizen's phone
		status int
		state  authn.ApprovalState
		alarm  bool
	}{
		{name: "wrong-number", bend: func(_ *world, q authn.Approval, a *phone.Approval) {
			for _, n := range q.Choices {
				if n != q.Number {
					a.Number = n
				}
			}
		}, status: 403, state: authn.ApprovalDenied, alarm: true},
		{name: "another-context", bend: func(_ *world, _ authn.Approval, a *phone.Approval) {
			a.ContextHash = phone.ContextHash([]byte("something harmless"))
		}, status: 403, state: authn.ApprovalDenied, alarm: true},
		{name: "denied", bend: func(_ *world, _ authn.Approval, a *phone.Approval) { a.Decision = phone.Deny }, status: 200, state: authn.ApprovalDenied},
		{name: "reported", bend: func(_ *world, _ authn.Approval, a *phone.Approval) { a.Decision = phone.Report }, status: 200, state: authn.ApprovalDenied, alarm: true},
		// The phone may ask its owner and come again.
		{name: "unverified", bend: func(_ *world, _ authn.Approval, a *phone.Approval) { a.UserVerified = false }, status: 403, state: authn.ApprovalPending},
		{name: "expired", bend: func(w *world, _ authn.Approval, _ *phone.Approval) { w.clock.Advance(2 * time.Minute) }, status: 404, state: authn.ApprovalPending},
		{name: "another-citizen's", bend: func(*world, authn.Approval, *phone.Approval) {}, other: true, status: 404, state: authn.ApprovalPending},
		{name: "no-such", bend: func(_ *world, _ authn.Approval, a *phone.Approval) { a.ID = identity.NewID() }, status: 404, state: authn.ApprovalPending},
	} {
		t.Run(row.name, func(t *testing.T) {
			w, citizen := newWorld(t), identity.NewID()
			h, stranger := w.bound(citizen, jose.ES256, "none"), w.bound(identity.NewID(), jose.ES256, "none")
			q := w.ask(citizen)
			a := approve(q)
			row.bend(w, q, &a)
			by := h
			if row.other {
				by = stranger
			}
			if got := by.decide(a); got.status != row.status {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if s := w.approval(q.ID).State; s != row.state {
				t.Errorf("the question is %s", s)
			}
			e := w.mem.events[len(w.mem.events)-1]
			if denied := row.state == authn.ApprovalDenied; denied != (e.Kind == audit.PhoneDenied) || row.alarm != (denied && e.Notify) {
				t.Errorf("entry %+v", e)
			}
			if row.state == authn.ApprovalDenied {
				// One guess: the right number comes too late.
				if got := h.decide(approve(q)); got.status != http.StatusConflict {
					t.Errorf("afterwards: %d", got.status)
				}
			}
		})
	}
}

func TestApprovalBodies(t *testing.T) {
	w, citizen := newWorld(t), identity.NewID()
	h, q := w.bound(citizen, jose.ES256, "none"), w.ask(citizen)
	path := "/device/v1/approvals/" + q.ID.String()
	good, err := json.Marshal(approve(q))
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"unknown-member": `{"x":1,` + string(good[1:]),
		"member-twice":   `{"uv":true,` + string(good[1:]),
		"uv-as-text":     strings.Replace(string(good), `"uv":true`, `"uv":"true"`, 1),
		"another-id":     strings.Replace(string(good), q.ID.String(), identity.NewID().String(), 1),
		"nothing":        `{}`,
		"null":           `null`,
	} {
		if a := h.send(http.MethodPost, path, body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := h.send(http.MethodPost, path, string(good)); a.status != http.StatusOK {
		t.Errorf("the right one after all that: %d %s", a.status, a.body)
	}
}

func TestOneDecisionWins(t *testing.T) {
	w, citizen := newWorld(t), identity.NewID()
	phones := []handset{w.bound(citizen, jose.ES256, "none"), w.bound(citizen, jose.SM2, "none")}
	q := w.ask(citizen)
	body, err := json.Marshal(approve(q))
	if err != nil {
		t.Fatal(err)
	}
	var rs []*http.Request
	for i := range 20 {
		rs = append(rs, phones[i%2].sign(http.MethodPost, "/device/v1/approvals/"+q.ID.String(), body))
	}
	got := race(20, func(i int) int { return send([]http.Handler{w.server, w.other}[i/2%2], rs[i]).status })
	if got[http.StatusOK] != 1 || got[http.StatusConflict] != 19 {
		t.Error(got)
	}
}
