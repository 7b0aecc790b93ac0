package liveness

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/internal/jose"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	li   = identity.ID{1}
	wang = identity.ID{2}
	dev1 = identity.ID{11}
	dev2 = identity.ID{12}
)

// A bench is one honest answer and what it is held against.
type bench struct {
	want   Expect
	claims map[string]any
	key    jose.Key
	keys   jose.Set
	typ    string
	now    time.Time
	raw    string // instead of all that
}

func newBench(t testing.TB, key jose.Key) *bench {
	t.Helper()
	txn := Transaction{ID: "txn-1", ClientID: "pension", Citizen: li, Device: dev1, Purpose: PurposeStepUp}
	s := Session{
		ID: identity.ID{21}, Provider: "vendor", ProviderSession: "ps-1", TxnHash: txn.hash(), Citizen: li, Device: dev1,
		Purpose: PurposeStepUp, State: StatePending, Begun: noon.Add(-time.Minute), Ends: noon.Add(time.Minute), Standing: true,
	}
	nonce := strings.Repeat("n", 43)
	return &bench{
		want: Expect{
			Provider: "vendor", Issuer: "https://vendor.example", Audience: "https://id.example",
			Session: s, Current: txn, Nonce: nonce, SubjectRef: "subject-li", DeviceRef: "device-1", Attempts: 1,
			Policy: Policy{Mode: ModeMatch, Reference: ReferenceAuthority, MinScore: 80, MinMatch: 75, MinPAD: 2, Tolerated: []string{"VPN"}},
		},
		claims: map[string]any{
			"iss": "https://vendor.example", "aud": "https://id.example", "jti": "r1",
			"iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
			"session_id": "ps-1", "request_id": s.ID.String(), "nonce": nonce,
			"txn_hash": encode(txn.hash()), "subject_ref": "subject-li", "device_ref": "device-1", "verdict": "pass",
			"liveness":    map[string]any{"score": 80, "threshold": 70, "pad": 2},
			"match":       map[string]any{"score": 75, "threshold": 70, "source": "authority"},
			"risk":        []string{"VPN"},
			"captured_at": noon.Add(-10 * time.Second).Unix(), "attempt": 1, "evidence_ref": "e-1",
		},
		key: key, keys: newSet(t, key), typ: typeResult, now: noon,
	}
}

func (b *bench) jws(t testing.TB) string {
	t.Helper()
	if b.raw != "" {
		return b.raw
	}
	s, err := jose.Sign(b.key, b.typ, b.claims)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// notice returns what we would have kept of a notice that says claims.
func (b *bench) notice(t testing.TB, jti string, change func(map[string]any)) *Notice {
	t.Helper()
	claims := map[string]any{}
	for k, v := range b.claims {
		claims[k] = v
	}
	claims["jti"] = jti
	change(claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseResult(payload)
	if err != nil {
		t.Fatal(err)
	}
	return &Notice{JTI: jtiKey("vendor", jti), Digest: r.digest()}
}

func set(name string, v any) func(*testing.T, *bench) {
	return func(_ *testing.T, b *bench) { b.claims[name] = v }
}

func inner(object, name string, v any) func(*testing.T, *bench) {
	return func(_ *testing.T, b *bench) { b.claims[object].(map[string]any)[name] = v }
}

func TestVerify(t *testing.T) {
	es256, sm2, other := newKey(t, jose.ES256, "p1"), newKey(t, jose.SM2, "p1"), newKey(t, jose.ES256, "p1")
	same := func(map[string]any) {}

	for _, c := range []struct {
		name   string
		change func(*testing.T, *bench)
		want   Reason // empty: passes
	}{
		{"honest", func(*testing.T, *bench) {}, ""},
		{"sm2", func(t *testing.T, b *bench) { b.key, b.keys = sm2, newSet(t, sm2) }, ""},

		// 1
		{"forged-with-another-key-of-that-name", func(_ *testing.T, b *bench) { b.key = other }, ReasonSignature},
		{"key-unknown", func(t *testing.T, b *bench) { b.key = newKey(t, jose.ES256, "p2") }, ReasonSignature},
		{"other-algorithm-under-that-kid", func(_ *testing.T, b *bench) { b.key = sm2 }, ReasonSignature},
		{"algorithm-not-ours", func(t *testing.T, b *bench) {
			k := newKey(t, jose.EdDSA, "p1")
			b.key, b.keys = k, newSet(t, k)
		}, ReasonSignature},
		{"nothing-pinned", func(_ *testing.T, b *bench) { b.keys = jose.Set{} }, ReasonSignature},
		{"unsigned", func(t *testing.T, b *bench) {
			parts := strings.Split(b.jws(t), ".")
			b.raw = "eyJhbGciOiJub25lIn0." + parts[1] + "."
		}, ReasonSignature},
		{"without-kid", func(t *testing.T, b *bench) {
			parts := strings.Split(b.jws(t), ".")
			b.raw = encode([]byte(`{"alg":"ES256","typ":"liveness-result+jwt"}`)) + "." + parts[1] + "." + parts[2]
		}, ReasonSignature},
		{"payload-swapped", func(t *testing.T, b *bench) {
			parts := strings.Split(b.jws(t), ".")
			b.claims["attempt"] = 2
			b.raw = parts[0] + "." + strings.Split(b.jws(t), ".")[1] + "." + parts[2]
		}, ReasonSignature},
		{"a-notice-is-no-result", func(_ *testing.T, b *bench) { b.typ = typeNotice }, ReasonSignature},
		{"our-own-request-is-no-result", func(_ *testing.T, b *bench) { b.typ = typeStart }, ReasonSignature},
		{"a-token-is-no-result", func(_ *testing.T, b *bench) { b.typ = "JWT" }, ReasonSignature},
		{"empty", func(_ *testing.T, b *bench) { b.raw = " " }, ReasonSignature},
		{"plain-json", func(_ *testing.T, b *bench) { b.raw = `{"verdict":"pass"}` }, ReasonSignature},

		// 2
		{"other-issuer", set("iss", "https://vendor.example/"), ReasonIssuer},
		{"other-audience", set("aud", "https://other.example"), ReasonAudience},
		{"audience-in-a-list", set("aud", []string{"https://id.example"}), ReasonMalformed},

		// 3
		{"stale", func(_ *testing.T, b *bench) { b.now = noon.Add(70 * time.Second) }, ReasonClock},
		{"almost-stale", func(_ *testing.T, b *bench) { b.now = noon.Add(70*time.Second - 1) }, ""},
		{"their-clock-ahead", set("iat", noon.Add(30*time.Second).Unix()), ""},
		{"their-clock-too-far-ahead", func(_ *testing.T, b *bench) {
			b.claims["iat"], b.claims["exp"] = noon.Add(31*time.Second).Unix(), noon.Add(61*time.Second).Unix()
		}, ReasonClock},
		{"lives-too-long", set("exp", noon.Add(61*time.Second).Unix()), ReasonClock},
		{"ends-before-it-begins", set("exp", noon.Unix()), ReasonClock},

		// 4
		{"the-notice-posted-back-as-result", func(t *testing.T, b *bench) { b.want.Session.Notice = b.notice(t, "r1", same) }, ReasonReplay},

		// 5
		{"other-session", set("session_id", "ps-2"), ReasonSession},
		{"other-request", set("request_id", identity.ID{22}.String()), ReasonSession},
		{"session-never-attached", func(_ *testing.T, b *bench) { b.want.Session.ProviderSession = "" }, ReasonSession},
		{"session-of-another-provider", func(_ *testing.T, b *bench) { b.want.Session.Provider = "old" }, ReasonSession},
		{"already-passed", func(_ *testing.T, b *bench) { b.want.Session.State = StatePassed }, ReasonNotPending},
		{"already-failed", func(_ *testing.T, b *bench) { b.want.Session.State = StateFailed }, ReasonNotPending},
		{"late", func(_ *testing.T, b *bench) { b.want.Session.Ends = noon.Add(-pullGrace) }, ReasonLate},
		{"in-the-grace", func(_ *testing.T, b *bench) { b.want.Session.Ends = noon.Add(1 - pullGrace) }, ReasonCaptured},

		// 6
		{"other-nonce", set("nonce", strings.Repeat("m", 43)), ReasonNonce},
		{"no-nonce-on-either-side", func(_ *testing.T, b *bench) { b.want.Nonce = "" }, ReasonNonce},

		// 7
		{"result-for-another-transaction", set("txn_hash", encode(Transaction{ID: "txn-2", ClientID: "pension", Purpose: PurposeStepUp}.hash())), ReasonTransaction},
		{"browser-in-another-transaction", func(_ *testing.T, b *bench) { b.want.Current.ID = "txn-2" }, ReasonTransaction},
		{"browser-at-another-client", func(_ *testing.T, b *bench) { b.want.Current.ClientID = "bank" }, ReasonTransaction},
		{"another-purpose", func(_ *testing.T, b *bench) { b.want.Current.Purpose = PurposeRecover }, ReasonTransaction},
		{"no-transaction", func(_ *testing.T, b *bench) { b.want.Current = Transaction{} }, ReasonTransaction},

		// 8
		{"result-about-another-subject", set("subject_ref", "subject-wang"), ReasonSubject},
		{"browser-of-another-citizen", func(_ *testing.T, b *bench) { b.want.Current.Citizen = wang }, ReasonSubject},

		// 9
		{"other-device", set("device_ref", "device-2"), ReasonDevice},
		{"browser-on-another-device", func(_ *testing.T, b *bench) { b.want.Current.Device = dev2 }, ReasonDevice},
		{"device-forgotten", set("device_ref", nil), ReasonDevice},
		{"no-device-where-one-is-needed", func(_ *testing.T, b *bench) {
			b.want.Session.Device, b.want.Current.Device, b.want.DeviceRef = identity.ID{}, identity.ID{}, noDevice
			b.claims["device_ref"] = nil
		}, ReasonDevice},
		{"no-device-where-none-is-needed", func(_ *testing.T, b *bench) {
			b.want.Session.Device, b.want.Current.Device, b.want.DeviceRef = identity.ID{}, identity.ID{}, noDevice
			b.want.WithoutDevice = true
			b.claims["device_ref"] = nil
		}, ""},
		{"a-device-where-none-was-named", func(_ *testing.T, b *bench) {
			b.want.Session.Device, b.want.Current.Device, b.want.DeviceRef = identity.ID{}, identity.ID{}, noDevice
			b.want.WithoutDevice = true
		}, ReasonDevice},

		// 10
		{"captured-before", set("captured_at", noon.Add(-91*time.Second).Unix()), ReasonCaptured},
		{"captured-after-signing", set("captured_at", noon.Add(time.Second).Unix()), ReasonCaptured},
		{"captured-long-ago", func(_ *testing.T, b *bench) {
			b.want.Session.Begun = noon.Add(-time.Hour)
			b.claims["captured_at"] = noon.Add(-captureAge - time.Second).Unix()
		}, ReasonCaptured},

		// 11
		{"fail", set("verdict", "fail"), ReasonVerdict},
		{"inconclusive", set("verdict", "inconclusive"), ReasonInconclusive},
		{"error", set("verdict", "error"), ReasonInconclusive},
		{"unknown-verdict", set("verdict", "PASS"), ReasonMalformed},
		{"true-for-pass", set("verdict", true), ReasonMalformed},
		{"one-below-ours", inner("liveness", "score", 79), ReasonScore},
		{"one-below-theirs", inner("liveness", "threshold", 81), ReasonScore},
		{"tested-at-a-lower-level", inner("liveness", "pad", 1), ReasonPAD},
		{"no-bar-of-ours", func(_ *testing.T, b *bench) { b.want.Policy.MinScore = 0 }, ReasonScore},
		{"tried-more-often-than-allowed", set("attempt", 2), ReasonAttempts},
		{"match-one-below-ours", inner("match", "score", 74), ReasonMatch},
		{"match-one-below-theirs", inner("match", "threshold", 76), ReasonMatch},
		{"match-with-something-else", inner("match", "source", "handle"), ReasonMatch},
		{"match-left-out", set("match", nil), ReasonMatch},
		{"match-not-asked-for", func(_ *testing.T, b *bench) { b.want.Policy.Mode = ModeLiveness }, ReasonMatch},
		{"mode-unknown", func(_ *testing.T, b *bench) { b.want.Policy.Mode = "" }, ReasonMatch},

		// 12
		{"rooted", set("risk", []string{"VPN", "ROOT"}), ReasonRisk},
		{"a-tag-nobody-knows", set("risk", []string{"QUANTUM"}), ReasonRisk},
		{"a-tolerated-tag-in-another-case", set("risk", []string{"vpn"}), ReasonRisk},
		{"no-risk", set("risk", []string{}), ""},

		// 13
		{"notice-agrees", func(t *testing.T, b *bench) { b.want.Session.Notice = b.notice(t, "n1", same) }, ""},
		{"notice-passed-result-failed", func(t *testing.T, b *bench) {
			b.want.Session.Notice = b.notice(t, "n1", same)
			b.claims["verdict"] = "fail"
		}, ReasonDisagree},
		{"notice-failed-result-passed", func(t *testing.T, b *bench) {
			b.want.Session.Notice = b.notice(t, "n1", func(c map[string]any) { c["verdict"] = "fail" })
		}, ReasonDisagree},
		{"notice-with-another-score", func(t *testing.T, b *bench) {
			b.want.Session.Notice = b.notice(t, "n1", func(c map[string]any) {
				c["liveness"] = map[string]any{"score": 81, "threshold": 70, "pad": 2}
			})
		}, ReasonDisagree},
		{"notice-with-another-nonce", func(t *testing.T, b *bench) {
			b.want.Session.Notice = b.notice(t, "n1", func(c map[string]any) { c["nonce"] = "x" })
		}, ReasonDisagree},
		{"notices-contradict-each-other", func(t *testing.T, b *bench) {
			b.want.Session.Notice, b.want.Session.Contradicted = b.notice(t, "n1", same), true
		}, ReasonDisagree},

		// 14
		{"frozen-meanwhile", func(_ *testing.T, b *bench) { b.want.Session.Standing = false }, ReasonStanding},

		// Nothing expected at all must not match nothing said.
		{"nothing-expected", func(_ *testing.T, b *bench) { b.want = Expect{} }, ReasonIssuer},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, es256)
			c.change(t, b)
			f, err := Verify(b.jws(t), b.want, b.keys, b.now)
			if (err == nil) != (c.want == "") || err != nil && !errors.Is(err, c.want) {
				t.Fatalf("Verify: %v, want %q", err, c.want)
			}
			if f.Passed() != (c.want == "") || f.Reason != c.want {
				t.Errorf("finding %q for reason %q, passed %v", f.Outcome, f.Reason, f.Passed())
			}
			if want := c.want == ReasonInconclusive; (f.Outcome == Inconclusive) != want {
				t.Errorf("outcome is %q", f.Outcome)
			}
			if f.Tries < 1 {
				t.Error("a try that costs nothing")
			}
		})
	}
}

// Each member of the result, missing, doubled in another case, or of any type
// that is not its own, is a failure.
func TestVerifyEachMember(t *testing.T) {
	key := newKey(t, jose.ES256, "p1")
	refused := func(t *testing.T, name string, b *bench) {
		t.Helper()
		f, err := Verify(b.jws(t), b.want, b.keys, b.now)
		if err == nil || f.Passed() {
			t.Errorf("%s: passed", name)
		}
	}
	honest := newBench(t, key)
	wrong := []any{nil, true, 1.5, -1, "", "x", strings.Repeat("x", 5000), []any{}, []any{1}, map[string]any{}, json.RawMessage("1e3"), json.RawMessage("1.0")}
	for name := range honest.claims {
		b := newBench(t, key)
		delete(b.claims, name)
		refused(t, "without "+name, b)

		b = newBench(t, key)
		b.claims[strings.ToUpper(name)] = b.claims[name]
		delete(b.claims, name)
		refused(t, strings.ToUpper(name), b)

		for _, v := range wrong {
			if name == "evidence_ref" && v == "x" || name == "jti" && v == "x" {
				continue // free text
			}
			if list, ok := v.([]any); ok && name == "risk" && len(list) == 0 {
				continue
			}
			b := newBench(t, key)
			b.claims[name] = v
			refused(t, name, b)
		}
	}
	for _, object := range []string{"liveness", "match"} {
		for name := range honest.claims[object].(map[string]any) {
			b := newBench(t, key)
			delete(b.claims[object].(map[string]any), name)
			refused(t, object+" without "+name, b)
			for _, v := range wrong {
				b := newBench(t, key)
				b.claims[object].(map[string]any)[name] = v
				refused(t, object+"."+name, b)
			}
		}
		b := newBench(t, key)
		b.claims[object].(map[string]any)["extra"] = 1
		refused(t, object+" with a stranger", b)
	}
	b := newBench(t, key)
	b.claims["image"] = "AAAA"
	refused(t, "with an image", b)
}

func TestBand(t *testing.T) {
	for _, c := range []struct {
		value, bar int
		want       Band
	}{{79, 80, BandBelow}, {80, 80, BandMeets}, {89, 80, BandMeets}, {90, 80, BandClear}, {100, 100, BandClear}, {0, 1, BandBelow}} {
		if got := bandOf(c.value, c.bar); got != c.want {
			t.Errorf("bandOf(%d, %d) = %q, want %q", c.value, c.bar, got, c.want)
		}
	}
}

func TestRefs(t *testing.T) {
	a, b := refs{goodConfig(t).RefKey, "a"}, refs{goodConfig(t).RefKey, "b"}
	all := []string{a.subject(li), a.subject(wang), b.subject(li), a.nonce(li), a.device(li)}
	seen := map[string]bool{}
	for _, s := range all {
		if len(s) != 43 || seen[s] {
			t.Errorf("%q is short or there twice", s)
		}
		seen[s] = true
	}
	if a.device(identity.ID{}) != noDevice {
		t.Error("no device has a reference")
	}
}

// What failed to parse returns nothing, and what parsed says the same twice.
func FuzzParseResult(f *testing.F) {
	b := newBench(f, newKey(f, jose.ES256, "p1"))
	honest, err := json.Marshal(b.claims)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(honest)
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"verdict":"pass","verdict":"fail"}`))
	f.Add([]byte("{\"iss\":\"\xff\"}"))
	f.Add([]byte(strings.Repeat("[", 20000)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := parseResult(payload)
		if err != nil {
			if r.answer != "" || r.jti != "" || r.risks != nil || r.match != nil {
				t.Error("failed and yet returned something")
			}
			return
		}
		for _, s := range []string{r.issuer, r.audience, r.jti, r.sessionID, r.requestID, r.nonce, r.txnHash, r.subjectRef} {
			if s == "" {
				t.Error("an empty text was accepted")
			}
		}
		switch r.answer {
		case answerPass, answerFail, answerInconclusive, answerError:
		default:
			t.Errorf("verdict %q was accepted", r.answer)
		}
		again, err := parseResult(payload)
		if err != nil || string(again.digest()) != string(r.digest()) {
			t.Error("a second look sees something else")
		}
	})
}

// No text but the honest one passes.
func FuzzVerify(f *testing.F) {
	key := newKey(f, jose.ES256, "p1")
	b := newBench(f, key)
	honest := b.jws(f)
	f.Add(honest)
	f.Add(honest[:len(honest)-1])
	f.Add("..")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, jws string) {
		finding, err := Verify(jws, b.want, b.keys, noon)
		if (err == nil || finding.Passed()) && jws != honest {
			t.Errorf("%q passed", jws)
		}
	})
}
