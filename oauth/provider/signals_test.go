package provider_test

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
	"ecardid/oauth/issue"
	"ecardid/oauth/signals"
)

func TestPolledSignals(t *testing.T) {
	h := signalling(t, nil)
	h.signing()
	token := h.machine(rp, "ssf.manage")
	id, _ := h.stream(token, byPoll)
	h.session(rp)
	if w := h.api("POST", "/ssf/verify", token, `{"stream_id":"`+id+`","state":"s t"}`); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := h.api("POST", "/ssf/verify", token, `{"stream_id":"`+id+`"}`); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
		t.Errorf("too soon: %d %s", w.Code, w.Body)
	}
	h.clock.Advance(time.Second)
	h.freeze(identity.CardFrozen)
	h.freeze(identity.CardNormal)
	ids, tokens, more := h.sets(token, id, `{"maxEvents":3,"returnImmediately":false,"strange":{"a":1}}`)
	if len(ids) != 3 || !more {
		t.Fatalf("%v %v", ids, more)
	}
	again, same, _ := h.sets(token, id, `{"maxEvents":3}`)
	if !slices.Equal(ids, again) || !slices.Equal(tokens, same) {
		t.Error("another time, another token")
	}
	kinds := []string{}
	sub := h.subjects.Subject(&oauth.Client{ID: rp, RedirectURIs: []string{callback}}, h.citizens[0])
	for i, one := range tokens {
		e, kind := h.open(one)
		kinds = append(kinds, kind)
		switch {
		case e.ID != ids[i]:
			t.Errorf("%s as %s", e.ID, ids[i])
		case kind == "verification":
			if e.Subject["format"] != "opaque" || e.Subject["id"] != id || e.Events[oauth.SignalVerification]["state"] != "s t" {
				t.Errorf("%+v", e)
			}
		case e.Subject["format"] != "iss_sub" || e.Subject["iss"] != issuer || e.Subject["sub"] != sub:
			t.Errorf("%+v", e)
		}
	}
	if !slices.Equal(kinds, []string{"verification", "session-revoked", "account-disabled"}) {
		t.Errorf("%v", kinds)
	}
	ids, tokens, more = h.sets(token, id, `{"ack":["`+ids[0]+`","`+ids[1]+`","nonsense"],"setErrs":{"`+ids[2]+`":{"err":"invalid_key","description":"?"}}}`)
	if len(ids) != 1 || more {
		t.Fatalf("%v %v", ids, more)
	}
	if _, kind := h.open(tokens[0]); kind != "account-enabled" {
		t.Errorf("%s", kind)
	}
	if ids, _, more := h.sets(token, id, `{"maxEvents":0,"ack":["`+ids[0]+`"]}`); len(ids) != 0 || more {
		t.Errorf("%v %v", ids, more)
	}
	// Of one session its sid is told, as the relying party has it in the ID token.
	s := h.session(rp)
	s.end("id_token_hint", s.id)
	_, tokens, _ = h.sets(token, id, `{}`)
	if len(tokens) != 1 {
		t.Fatalf("%d tokens", len(tokens))
	}
	e, _ := h.open(tokens[0])
	user, _ := e.Subject["user"].(map[string]any)
	part, _ := e.Subject["session"].(map[string]any)
	if e.Subject["format"] != "complex" || user["sub"] != sub || part["format"] != "opaque" || part["id"] != s.sid {
		t.Errorf("%+v", e)
	}
}

func TestSignalsLeftOut(t *testing.T) {
	h := signalling(t, nil)
	h.signing()
	token := h.machine(rp, "ssf.manage")
	id, _ := h.stream(token, byPoll)
	h.session(rp)
	sub := h.subjects.Subject(&oauth.Client{ID: rp, RedirectURIs: []string{callback}}, h.citizens[0])
	ours := `{"stream_id":"` + id + `","subject":{"format":"iss_sub","iss":"` + issuer + `","sub":"` + sub + `"},"verified":true}`
	if w := h.api("POST", "/ssf/subjects/remove", token, ours); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	// Others are taken in silence: whom we know by an address is nobody's business.
	for _, other := range []string{`{"format":"email","email":"a@b.example"}`, `{"format":"iss_sub","iss":"https://else.example","sub":"x"}`, `{"format":"iss_sub","iss":"` + issuer + `","sub":"nobody"}`} {
		if w := h.api("POST", "/ssf/subjects/add", token, `{"stream_id":"`+id+`","subject":`+other+`}`); w.Code != http.StatusOK {
			t.Errorf("%s: %d", other, w.Code)
		}
	}
	h.freeze(identity.CardFrozen)
	if ids, _, more := h.sets(token, id, `{}`); len(ids) != 0 || more {
		t.Errorf("told all the same: %v", ids)
	}
	if w := h.api("POST", "/ssf/subjects/add", token, ours); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	h.freeze(identity.CardNormal)
	if ids, _, _ := h.sets(token, id, `{}`); len(ids) != 1 {
		t.Errorf("%v", ids)
	}
}

// courier is the one of a replica.
func (h *house) courier(replica int, box *inbox, count *counter) *signals.Courier {
	return &signals.Courier{
		Streams: h.stores[replica], Registry: h.registry, Tokens: signals.Maker{Issuer: &issue.Issuer{Name: issuer, Keys: h.keys, Subjects: h.subjects}},
		Hosts: signals.Hosts{Listed: box.out, Callers: box.out}, Sender: box.out, Observer: count, Clock: h.clock, Log: slog.New(slog.DiscardHandler),
	}
}

func (h *house) lag() oauth.StreamLag {
	h.t.Helper()
	all, err := h.store.SignalLag(h.t.Context())
	if err != nil || len(all) != 1 {
		h.t.Fatalf("%v %v", all, err)
	}
	return all[0]
}

func TestPushedSignals(t *testing.T) {
	box := newInbox(t)
	h := signalling(t, box)
	h.signing()
	token := h.machine(rp, "ssf.manage")
	id, v := h.stream(token, `{"method":"urn:ietf:rfc:8935","endpoint_url":"`+box.url+`","authorization_header":"Bearer rp's word"}`)
	if d := v["delivery"].(map[string]any); d["endpoint_url"] != box.url || d["authorization_header"] != nil {
		t.Errorf("%v", d)
	}
	if w := h.api("POST", "/ssf/poll/"+id, token, `{}`); w.Code != http.StatusNotFound {
		t.Errorf("polled: %d", w.Code)
	}
	h.session(rp)
	count := &counter{}
	post := h.courier(0, box, count)
	round := func(want int) {
		t.Helper()
		if n, err := post.Round(t.Context()); err != nil || n != want {
			t.Fatalf("%d, %v, want %d", n, err, want)
		}
	}
	round(0)
	h.freeze(identity.CardFrozen)
	box.status = http.StatusServiceUnavailable
	round(0)
	if l := h.lag(); l.Failures != 1 || l.Error != "status 503" || l.Pending != 2 || !l.Delivered.IsZero() {
		t.Errorf("%+v", l)
	}
	box.status = http.StatusAccepted
	round(0) // not yet
	h.clock.Advance(5 * time.Second)
	round(2)
	got := box.taken()
	if len(got) != 2 || box.auth[0] != "Bearer rp's word" {
		t.Fatalf("%v %v", got, box.auth)
	}
	if _, kind := h.open(got[0]); kind != "session-revoked" {
		t.Error(kind)
	}
	if _, kind := h.open(got[1]); kind != "account-disabled" {
		t.Error(kind)
	}
	if l := h.lag(); l.Failures != 0 || l.Error != "" || l.Pending != 0 || l.Delivered.IsZero() {
		t.Errorf("%+v", l)
	}
	if count.seen["delivered"] != 2 || count.seen["failed"] != 1 {
		t.Errorf("%v", count.seen)
	}
	// What its receiver will never take does not keep the rest from it.
	h.freeze(identity.CardNormal)
	box.status = http.StatusBadRequest
	for range 12 {
		if _, err := post.Round(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(10 * time.Minute)
	}
	if l := h.lag(); l.Pending != 0 || count.seen["refused"] != 1 {
		t.Errorf("%+v %v", l, count.seen)
	}
	// Nothing goes where the host is not allowed any more, and nothing for a client that is
	// suspended.
	box.status = http.StatusAccepted
	h.freeze(identity.CardFrozen)
	post.Hosts = signals.Hosts{Callers: box.out}
	round(0)
	if l := h.lag(); l.Error != "address not allowed" || l.Pending != 1 {
		t.Errorf("%+v", l)
	}
	post.Hosts.Listed = box.out
	if err := h.store.SuspendClient(t.Context(), rp, h.clock.Now(), audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: rp}); err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(time.Hour)
	round(0)
	if n := len(box.taken()); n != 2 {
		t.Errorf("%d taken", n)
	}
}

// A client that is stopped while a turn is under way hears nothing more of it.
func TestPushEndsWithTheClient(t *testing.T) {
	box := newInbox(t)
	h := signalling(t, box)
	h.signing()
	h.stream(h.machine(rp, "ssf.manage"), `{"method":"urn:ietf:rfc:8935","endpoint_url":"`+box.url+`"}`)
	h.session(rp)
	for i := range 5 {
		h.clock.Advance(time.Second)
		h.freeze([]identity.CardState{identity.CardFrozen, identity.CardNormal}[i%2])
	}
	box.before = func(n int) bool {
		if n == 2 {
			if err := h.store.SuspendClient(t.Context(), rp, h.clock.Now(), audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: rp}); err != nil {
				t.Error(err)
			}
			if err := h.registry.Reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	if n, err := h.courier(0, box, &counter{}).Round(t.Context()); err != nil || n != 2 {
		t.Errorf("%d, %v", n, err)
	}
	if n := len(box.taken()); n != 2 {
		t.Errorf("%d brought", n)
	}
	if l := h.lag(); l.Error != "client not live" {
		t.Errorf("%+v", l)
	}
}

// Two replicas push, one of them dies between what it brought and what it wrote down:
// everything comes in order, and what comes twice has the same jti.
func TestPushAcrossReplicas(t *testing.T) {
	box := newInbox(t)
	h := signalling(t, box)
	h.signing()
	h.stream(h.machine(rp, "ssf.manage"), `{"method":"urn:ietf:rfc:8935","endpoint_url":"`+box.url+`"}`)
	h.session(rp)
	const acts = 15
	for i := range acts {
		h.clock.Advance(time.Second)
		h.freeze([]identity.CardState{identity.CardFrozen, identity.CardNormal}[i%2])
	}
	dying, die := context.WithCancel(t.Context())
	box.before = func(n int) bool {
		if n == 4 {
			die()
		}
		return n == 4
	}
	if _, err := h.courier(0, box, &counter{}).Round(dying); err != nil && dying.Err() == nil {
		t.Fatal(err)
	}
	if l := h.lag(); l.Pending != acts+1-3 {
		t.Errorf("%+v", l)
	}
	others := []*signals.Courier{h.courier(0, box, &counter{}), h.courier(len(h.stores)-1, box, &counter{}), h.courier(0, box, &counter{})}
	for _, c := range others {
		if n, err := c.Round(t.Context()); err != nil || n != 0 {
			t.Errorf("a lease of somebody else: %d, %v", n, err)
		}
	}
	h.clock.Advance(31 * time.Second)
	var all sync.WaitGroup
	for _, c := range others {
		all.Go(func() {
			for range 3 {
				if _, err := c.Round(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	var ids []string
	last := int64(0)
	for _, one := range box.taken() {
		e, _ := h.open(one)
		if e.At < last {
			t.Errorf("%d after %d", e.At, last)
		}
		last = e.At
		ids = append(ids, e.ID)
	}
	distinct := slices.Compact(slices.Clone(ids)) // a repetition stands beside the first
	if len(distinct) != acts+1 || len(ids) > len(distinct)+1 {
		t.Errorf("%d tokens, %d of them different", len(ids), len(distinct))
	}
	if l := h.lag(); l.Pending != 0 {
		t.Errorf("%+v", l)
	}
}
