package provider_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/oauth"
)

func TestSignalsMetadata(t *testing.T) {
	for pushing, h := range map[bool]*house{true: signalling(t, newInbox(t)), false: signalling(t, nil)} {
		v := jsonOf(t, h.api("GET", "/.well-known/ssf-configuration", "", ""))
		methods := []any{oauth.DeliveryPoll}
		if pushing {
			methods = []any{oauth.DeliveryPush, oauth.DeliveryPoll}
		}
		if v["issuer"] != issuer || v["spec_version"] != "1_0" || v["jwks_uri"] != issuer+"/jwks" || v["default_subjects"] != "ALL" ||
			!slices.Equal(v["delivery_methods_supported"].([]any), methods) {
			t.Errorf("%v", v)
		}
		for name, value := range v {
			at, ok := value.(string)
			if path, ours := strings.CutPrefix(at, issuer+"/ssf/"); ok && strings.HasSuffix(name, "_endpoint") && ours {
				if w := h.api("OPTIONS", "/ssf/"+path, "", ""); w.Code != http.StatusMethodNotAllowed {
					t.Errorf("%s: %d", name, w.Code)
				}
			}
		}
	}
	// Without the scopes nobody could ask for anything.
	h := newHouse(t)
	if w := h.api("GET", "/.well-known/ssf-configuration", "", ""); w.Code != http.StatusNotFound {
		t.Errorf("%d", w.Code)
	}
}

func TestStreamLife(t *testing.T) {
	h := signalling(t, newInbox(t))
	manage, read := h.machine(rp, "ssf.manage"), h.machine(rp, "ssf.read")
	if w := h.api("GET", "/ssf/stream", read, ""); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	id, v := h.stream(manage, `{"method":"urn:ietf:rfc:8936"}`)
	if v["iss"] != issuer || v["aud"] != rp || len(v["events_delivered"].([]any)) != 5 || v["delivery"].(map[string]any)["endpoint_url"] != issuer+"/ssf/poll/"+id {
		t.Errorf("%v", v)
	}
	if w := h.api("POST", "/ssf/stream", manage, `{"delivery":`+byPoll+`}`); w.Code != http.StatusConflict {
		t.Errorf("a second stream: %d %s", w.Code, w.Body)
	}
	if w := h.api("GET", "/ssf/stream?stream_id="+id, read, ""); w.Code != 200 || jsonOf(t, w)["stream_id"] != id {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var all []map[string]any
	if err := json.Unmarshal(h.api("GET", "/ssf/stream", read, "").Body.Bytes(), &all); err != nil || len(all) != 1 || all[0]["stream_id"] != id {
		t.Errorf("%v %v", all, err)
	}
	// PATCH leaves what it does not name, and only promises what there is.
	w := h.api("PATCH", "/ssf/stream", manage, `{"stream_id":"`+id+`","iss":"`+issuer+`","aud":"pension","events_requested":["`+oauth.SignalSessionRevoked+`","https://else.example/x"]}`)
	v = jsonOf(t, w)
	if w.Code != 200 || v["description"] != "ours" || len(v["events_requested"].([]any)) != 2 || !slices.Equal(v["events_delivered"].([]any), []any{oauth.SignalSessionRevoked}) {
		t.Errorf("%d %v", w.Code, v)
	}
	// PUT does not.
	w = h.api("PUT", "/ssf/stream", manage, `{"stream_id":"`+id+`","delivery":`+byPoll+`}`)
	if v = jsonOf(t, w); w.Code != 200 || v["description"] != nil || len(v["events_delivered"].([]any)) != 5 {
		t.Errorf("%d %v", w.Code, v)
	}
	for _, status := range []string{"paused", "disabled", "enabled"} {
		w := h.api("POST", "/ssf/status?stream_id="+id, manage, `{"stream_id":"`+id+`","status":"`+status+`","reason":"because"}`)
		if v := jsonOf(t, w); w.Code != 200 || v["status"] != status || v["reason"] != "because" {
			t.Errorf("%d %v", w.Code, v)
		}
		if v := jsonOf(t, h.api("GET", "/ssf/status?stream_id="+id, read, "")); v["status"] != status || v["stream_id"] != id {
			t.Errorf("%v", v)
		}
	}
	if w := h.api("DELETE", "/ssf/stream?stream_id="+id, manage, ""); w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"read":     h.api("GET", "/ssf/stream?stream_id="+id, manage, ""),
		"patched":  h.api("PATCH", "/ssf/stream", manage, `{"stream_id":"`+id+`"}`),
		"replaced": h.api("PUT", "/ssf/stream", manage, `{"stream_id":"`+id+`","delivery":`+byPoll+`}`),
		"deleted":  h.api("DELETE", "/ssf/stream?stream_id="+id, manage, ""),
		"status":   h.api("GET", "/ssf/status?stream_id="+id, manage, ""),
		"set":      h.api("POST", "/ssf/status", manage, `{"stream_id":"`+id+`","status":"enabled"}`),
		"verified": h.api("POST", "/ssf/verify", manage, `{"stream_id":"`+id+`"}`),
		"polled":   h.api("POST", "/ssf/poll/"+id, manage, `{}`),
		"added":    h.api("POST", "/ssf/subjects/add", manage, `{"stream_id":"`+id+`","subject":{"format":"email","email":"a@b.example"}}`),
		"no id":    h.api("GET", "/ssf/stream?stream_id=nonsense", manage, ""),
	} {
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	box := newInbox(t)
	h := signalling(t, box)
	token := h.machine(rp, "ssf.manage")
	push := func(endpoint, more string) string {
		return `{"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"` + endpoint + `"` + more + `}}`
	}
	for name, body := range map[string]string{
		"broken":            `;{ broken`,
		"empty":             ``,
		"array":             `[]`,
		"twice":             `{"delivery":` + byPoll + `,"delivery":` + byPoll + `}`,
		"twins":             `{"delivery":` + byPoll + `,"Delivery":{"method":"urn:ietf:rfc:8935"}}`,
		"deep":              `{"x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`,
		"null delivery":     `{"delivery":null}`,
		"no method":         `{"delivery":{}}`,
		"unknown method":    `{"delivery":{"method":"urn:carrier:pigeon"}}`,
		"events as text":    `{"events_requested":"all"}`,
		"events of numbers": `{"events_requested":[1]}`,
		"too many events":   `{"events_requested":[` + strings.Repeat(`"x",`, 100) + `"x"]}`,
		"description":       `{"description":{}}`,
		"long description":  `{"description":"` + strings.Repeat("x", 501) + `"}`,
		"somebody's poll":   `{"delivery":{"method":"urn:ietf:rfc:8936","endpoint_url":"https://rp.example/"}}`,
		"push to nobody":    `{"delivery":{"method":"urn:ietf:rfc:8935"}}`,
		"not https":         push("http://"+strings.TrimPrefix(box.url, "https://"), ""),
		"another host":      push("https://evil.example/events", ""),
		"metadata service":  push("https://169.254.169.254/latest", ""),
		"user in the URL":   push(strings.Replace(box.url, "https://", "https://x@", 1), ""),
		"fragment":          push(box.url+"#x", ""),
		"another port":      push("https://127.0.0.1:1/events", ""),
		"two lines":         push(box.url, `,"authorization_header":"a\r\nX-Other: b"`),
		"long header":       push(box.url, `,"authorization_header":"`+strings.Repeat("x", 2049)+`"`),
		"too long":          `{"description":"` + strings.Repeat("x", 65<<10) + `"}`,
	} {
		if w := h.api("POST", "/ssf/stream", token, body); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := h.api("GET", "/ssf/stream", token, ""); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("something came of it: %s", w.Body)
	}
	id, _ := h.stream(token, byPoll)
	for name, c := range map[string][3]string{
		"patch without id":    {"PATCH", "/ssf/stream", `{}`},
		"patch broken":        {"PATCH", "/ssf/stream", `;{ broken`},
		"put broken":          {"PUT", "/ssf/stream", `;{ broken`},
		"another issuer":      {"PATCH", "/ssf/stream", `{"stream_id":"` + id + `","iss":"https://evil.example"}`},
		"another audience":    {"PUT", "/ssf/stream", `{"stream_id":"` + id + `","aud":"other","delivery":` + byPoll + `}`},
		"other events":        {"PATCH", "/ssf/stream", `{"stream_id":"` + id + `","events_delivered":[]}`},
		"delete without id":   {"DELETE", "/ssf/stream", ``},
		"unknown status":      {"POST", "/ssf/status", `{"stream_id":"` + id + `","status":"asleep"}`},
		"no status":           {"POST", "/ssf/status", `{"stream_id":"` + id + `"}`},
		"two streams":         {"POST", "/ssf/status?stream_id=x", `{"stream_id":"` + id + `","status":"paused"}`},
		"state as object":     {"POST", "/ssf/verify", `{"stream_id":"` + id + `","state":{}}`},
		"long state":          {"POST", "/ssf/verify", `{"stream_id":"` + id + `","state":"` + strings.Repeat("x", 1025) + `"}`},
		"subject as text":     {"POST", "/ssf/subjects/add", `{"stream_id":"` + id + `","subject":"x"}`},
		"subject sans format": {"POST", "/ssf/subjects/remove", `{"stream_id":"` + id + `","subject":{"sub":"x"}}`},
		"subject sans sub":    {"POST", "/ssf/subjects/remove", `{"stream_id":"` + id + `","subject":{"format":"iss_sub","iss":"` + issuer + `"}}`},
		"negative":            {"POST", "/ssf/poll/" + id, `{"maxEvents":-1}`},
		"ack as text":         {"POST", "/ssf/poll/" + id, `{"ack":"x"}`},
		"errs as list":        {"POST", "/ssf/poll/" + id, `{"setErrs":[]}`},
		"token in the URL":    {"GET", "/ssf/stream?access_token=x", ``},
	} {
		if w := h.api(c[0], c[1], token, c[2]); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if w := h.serve(func() *http.Request {
		r := httptest.NewRequest("POST", "/ssf/verify", strings.NewReader(`{"stream_id":"`+id+`"}`))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "text/plain")
		return r
	}()); w.Code != http.StatusBadRequest {
		t.Errorf("text: %d", w.Code)
	}
}

// Who may do what: the token has to be the client's own, of the right audience, scope and
// epoch, and come with what it is bound to.
func TestSignalsTokens(t *testing.T) {
	h := signalling(t, nil)
	id, _ := h.stream(h.machine(rp, "ssf.manage"), byPoll)
	citizens := h.tokens("openid card.basic")["access_token"].(string)
	read := h.machine(rp, "ssf.read")
	calls := map[string][2]string{
		"create": {"POST", "/ssf/stream"}, "read": {"GET", "/ssf/stream"}, "patch": {"PATCH", "/ssf/stream"}, "put": {"PUT", "/ssf/stream"},
		"delete": {"DELETE", "/ssf/stream?stream_id=" + id}, "status": {"GET", "/ssf/status?stream_id=" + id}, "set": {"POST", "/ssf/status"},
		"add": {"POST", "/ssf/subjects/add"}, "remove": {"POST", "/ssf/subjects/remove"}, "verify": {"POST", "/ssf/verify"}, "poll": {"POST", "/ssf/poll/" + id},
	}
	reading := []string{"read", "status", "verify", "poll"}
	for name, c := range calls {
		for what, token := range map[string]string{
			"none": "", "nonsense": "invalid:x", "a citizen's": citizens, "another resource's": h.machine(rp, "card.status"),
			"cut": read[:len(read)-4] + "AAAA",
		} {
			if w := h.api(c[0], c[1], token, ""); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s, %s token: %d %s", name, what, w.Code, w.Body)
			}
		}
		w := h.api(c[0], c[1], read, "")
		if allowed := w.Code != http.StatusForbidden; allowed != slices.Contains(reading, name) || w.Code == http.StatusUnauthorized {
			t.Errorf("%s with a token to read: %d", name, w.Code)
		}
	}
	r := httptest.NewRequest("GET", "/ssf/stream", nil)
	r.Header.Add("Authorization", "Bearer "+read)
	r.Header.Add("Authorization", "Bearer "+read)
	if w := h.serve(r); w.Code != http.StatusBadRequest {
		t.Errorf("two tokens: %d", w.Code)
	}
	h.clock.Advance(6 * time.Minute)
	if w := h.api("GET", "/ssf/stream", read, ""); w.Code != http.StatusUnauthorized {
		t.Errorf("expired: %d", w.Code)
	}
	read = h.machine(rp, "ssf.read")
	if err := h.store.SuspendClient(t.Context(), rp, h.clock.Now(), audit.Event{Kind: audit.ClientSuspended, At: h.clock.Now(), Actor: audit.ByOperator, Client: rp}); err != nil {
		t.Fatal(err)
	}
	if err := h.registry.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w := h.api("GET", "/ssf/stream", read, ""); w.Code != http.StatusUnauthorized {
		t.Errorf("suspended: %d", w.Code)
	}
	// Made live again, it has to ask for a new token.
	h.client(`{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],
		"grant_types":["authorization_code","client_credentials"],"scope":"openid ssf.read"}`)
	if w := h.api("GET", "/ssf/stream", read, ""); w.Code != http.StatusUnauthorized {
		t.Errorf("a token of another epoch: %d", w.Code)
	}
	if w := h.api("GET", "/ssf/stream", h.machine(rp, "ssf.read"), ""); w.Code != http.StatusOK {
		t.Errorf("a new one: %d", w.Code)
	}
}

func TestSignalsBoundToken(t *testing.T) {
	h := signalling(t, nil)
	h.client(`{"client_id":"careful","client_name":"Careful","dpop_bound_access_tokens":true,"grant_types":["client_credentials"],"scope":"ssf.manage"}`)
	k := h.holder()
	status, out := h.proven("careful", k.forToken(), url.Values{"grant_type": {"client_credentials"}})
	if status != http.StatusOK {
		t.Fatalf("%d %v", status, out)
	}
	token := out["access_token"].(string)
	call := func(scheme, proof string) int {
		r := httptest.NewRequest("GET", "/ssf/stream", nil)
		r.Header.Set("Authorization", scheme+" "+token)
		if proof != "" {
			r.Header.Set("DPoP", proof)
		}
		return h.serve(r).Code
	}
	good := k.proof("GET", issuer+"/ssf/stream", "ath", challenge(token))
	for what, got := range map[string]int{
		"as bearer":       call("Bearer", ""),
		"bearer, proven":  call("Bearer", k.proof("GET", issuer+"/ssf/stream", "ath", challenge(token))),
		"without a proof": call("DPoP", ""),
		"another key":     call("DPoP", h.holder().proof("GET", issuer+"/ssf/stream", "ath", challenge(token))),
		"another URL":     call("DPoP", k.proof("GET", issuer+"/ssf/status", "ath", challenge(token))),
		"another method":  call("DPoP", k.proof("POST", issuer+"/ssf/stream", "ath", challenge(token))),
		"without ath":     call("DPoP", k.proof("GET", issuer+"/ssf/stream")),
	} {
		if got != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, got)
		}
	}
	if got := call("DPoP", good); got != http.StatusOK {
		t.Errorf("right: %d", got)
	}
	if got := call("DPoP", good); got != http.StatusUnauthorized {
		t.Errorf("again: %d", got)
	}
}
