package templates_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
	"github.com/go-webauthn/webauthn/protocol"

	"ecardid/templates"
	"ecardid/templates/gallery"
)

// desk is the least server the script can talk to: fixed challenges, and it only
// checks that the answers have the shape go-webauthn reads.
type desk struct {
	pages *templates.Pages
	t     *testing.T

	mu        sync.Mutex
	violation []string
	polls     int
	credID    string
}

const challenge = "c2FtcGxlLWNoYWxsZW5nZS0wMTIzNDU2Nzg5"

func (d *desk) page(kind templates.Kind, page templates.Page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := gallery.View(templates.En, false)
		v.Path = r.URL.Path
		// The policy is the production one; the report tells what it stopped.
		w.Header().Set("Content-Security-Policy", templates.Policy(kind, v.Nonce)+"; report-uri /report")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := d.pages.Render(w, v, page); err != nil {
			d.t.Error(err)
		}
	}
}

func (d *desk) json(answer func(body []byte) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("X-CSRF-Token") != "sample-csrf" || r.Header.Get("Content-Type") != "application/json" {
			d.t.Errorf("%s %s without token or type: %v", r.Method, r.URL, r.Header)
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err != nil {
			d.t.Error(err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer(body))
	}
}

func (d *desk) routes() http.Handler {
	c := templates.Ceremony{OptionsURL: "/options", FinishURL: "/finish"}
	mux := http.NewServeMux()
	mux.Handle(templates.AssetPrefix, d.pages.Assets())
	mux.HandleFunc("/enrol", d.page(templates.Plain, templates.EnrolPasskey{
		Passkey: templates.Ceremony{OptionsURL: "/create-options", FinishURL: "/create-finish"},
	}))
	mux.HandleFunc("/login", d.page(templates.SignIn, templates.Login{Passkey: c}))
	mux.HandleFunc("/step", d.page(templates.SignIn, templates.PasskeyStep{Passkey: c}))
	mux.HandleFunc("/refused", d.page(templates.SignIn, templates.PasskeyStep{
		Passkey: templates.Ceremony{OptionsURL: "/options", FinishURL: "/finish-refused"},
	}))
	mux.HandleFunc("/elsewhere", d.page(templates.SignIn, templates.PasskeyStep{
		Passkey: templates.Ceremony{OptionsURL: "/options", FinishURL: "/finish-elsewhere"},
	}))
	mux.HandleFunc("/wait", d.page(templates.SignIn, templates.PhoneApprove{Number: "47", PollURL: "/state"}))
	mux.HandleFunc("/bulk", d.page(templates.Plain, templates.Console{Page: templates.ConsoleBulk{Max: 10}}))
	mux.HandleFunc("/done", d.page(templates.Plain, templates.SignedOut{}))
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.polls++
		if d.polls > 1 {
			_, _ = io.WriteString(w, `{"next":"/done"}`)
			return
		}
		_, _ = io.WriteString(w, `{}`)
	})
	mux.HandleFunc("/report", func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		d.mu.Lock()
		defer d.mu.Unlock()
		d.violation = append(d.violation, string(body))
	})
	mux.HandleFunc("/create-options", d.json(func([]byte) string {
		return `{"publicKey":{"rp":{"id":"localhost","name":"x"},"user":{"id":"dXNlci1oYW5kbGU","name":"u","displayName":"u"},` +
			`"challenge":"` + challenge + `","pubKeyCredParams":[{"type":"public-key","alg":-7}],` +
			`"authenticatorSelection":{"residentKey":"required","userVerification":"required"}}}`
	}))
	mux.HandleFunc("/create-finish", d.json(func(body []byte) string {
		parsed, err := protocol.ParseCredentialCreationResponseBytes(body)
		if err != nil || parsed.Response.CollectedClientData.Challenge != challenge {
			d.t.Errorf("creation: %v in %s", err, body)
			return `{}`
		}
		d.credID = parsed.ID
		return `{"next":"/done"}`
	}))
	mux.HandleFunc("/options", d.json(func([]byte) string {
		return `{"publicKey":{"challenge":"` + challenge + `","rpId":"localhost","userVerification":"required"}}`
	}))
	mux.HandleFunc("/finish", d.json(func(body []byte) string {
		parsed, err := protocol.ParseCredentialRequestResponseBytes(body)
		if err != nil || parsed.ID != d.credID {
			d.t.Errorf("assertion: %v in %s", err, body)
			return `{}`
		}
		return `{"next":"/done"}`
	}))
	mux.HandleFunc("/finish-refused", d.json(func([]byte) string { return `{"problem":"<b>not accepted</b>"}` }))
	mux.HandleFunc("/finish-elsewhere", d.json(func([]byte) string { return `{"next":"//evil.example/"}` }))
	return mux
}

// TestScript walks the script in a real browser under the real policy: a passkey
// made, used by autofill and by button, refused, and a phone waited for.
func TestScript(t *testing.T) {
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("no chromium on this machine: install the package chromium (scripts/setup test does)")
	}
	d := &desk{pages: newPages(t), t: t}
	srv := httptest.NewServer(d.routes())
	defer srv.Close()
	base := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)

	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-gpu", true))
	defer stop()
	ctx, cancel := chromedp.NewContext(alloc)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(base+"/done")); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{
		Options: &webauthn.VirtualAuthenticatorOptions{
			Protocol: "ctap2", Ctap2version: "ctap2_1", Transport: "internal", HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
		},
	}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, path, click string
		want              string // a condition in the page
	}{
		{"create", "/enrol", "passkey-create", `location.pathname === "/done"`},
		{"by button", "/step", "passkey-login", `location.pathname === "/done"`},
		// The virtual authenticator answers a conditional request by itself.
		{"by autofill", "/login", "", `location.pathname === "/done"`},
		{"refused, in words and not in markup", "/refused", "passkey-login", `document.querySelector("[data-status]").textContent === "<b>not accepted</b>"`},
		{"never to another host", "/elsewhere", "passkey-login", `document.querySelector("[data-status]").className === "status bad" && location.pathname === "/elsewhere"`},
		{"phone", "/wait", "", `location.pathname === "/done"`},
		{"a file into its field", "/bulk", "", `(function () {
			var files = new DataTransfer(), chosen = document.getElementById("file");
			files.items.add(new File(["A10000012\nB20000025"], "cards.csv"));
			chosen.files = files.files;
			chosen.dispatchEvent(new Event("change"));
			return chosen.offsetParent !== null && document.getElementById("cards").value === "A10000012\nB20000025";
		})()`},
	} {
		run, cancel := context.WithTimeout(ctx, 20*time.Second)
		err := chromedp.Do(run, chromedp.Navigate(base+step.path))
		if err == nil && step.click != "" {
			err = chromedp.Do(run, chromedp.Click(chromedp.ID(step.click)))
		}
		met := false
		for err == nil && !met && run.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			// A navigation under way has no page to ask; ask again.
			met, _ = chromedp.Run(run, chromedp.Evaluate[bool](step.want))
		}
		if !met {
			t.Errorf("%s: never saw %s (%v)", step.name, step.want, err)
		}
		cancel()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.violation) > 0 {
		t.Errorf("the policy stopped something of ours: %s", d.violation)
	}
	if d.polls < 2 {
		t.Errorf("polled %d times", d.polls)
	}
}
