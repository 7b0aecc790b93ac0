package respond

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/oauth/form"
)

func TestClean(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		code   string
		status int
		says   string
	}{
		{"oauth", fosite.ErrInvalidGrant.WithHint("Too late."), "invalid_grant", 400, "Too late."},
		{"wrapped", fmt.Errorf("x: %w", fosite.ErrInvalidScope), "invalid_scope", 400, "invalid, unknown, or malformed"},
		{"form", &form.Error{Problem: "There is one twice."}, "invalid_request", 400, "There is one twice."},
		// What we do not recognise says nothing.
		{"unknown", errors.New("pq: password of 10.0.0.1"), "server_error", 500, "unexpected condition"},
		{"identity", identity.ErrNotFound, "server_error", 500, "unexpected condition"},
		{"server-hint", fosite.ErrServerError.WithHint("table grants").WithDebug("secret"), "server_error", 500, "unexpected condition"},
		{"debug", fosite.ErrInvalidRequest.WithHint("No.").WithDebug("secret"), "invalid_request", 400, "No."},
		{"characters", fosite.ErrInvalidScope.WithHintf("Not %s.", "\"\\\r\n中<"), "invalid_scope", 400, "Not '????<."},
		{"long", fosite.ErrInvalidScope.WithHint(strings.Repeat("x", 1000)), "invalid_scope", 400, strings.Repeat("x", 300)},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Clean(c.err)
			if got.ErrorField != c.code || got.CodeField != c.status || !strings.Contains(got.DescriptionField, c.says) || got.HintField != "" || got.DebugField != "" {
				t.Errorf("%+v", got)
			}
			if strings.Contains(got.DescriptionField, "secret") || len(got.DescriptionField) > 300 {
				t.Errorf("says %q", got.DescriptionField)
			}
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("a\"b\\c\x00\u202e")
	f.Fuzz(func(t *testing.T, s string) {
		for _, b := range []byte(plain(s)) {
			if b < 0x20 || b > 0x7e || b == '"' || b == '\\' {
				t.Fatalf("%q has %q", s, b)
			}
		}
	})
}

func TestStatusAndHeaders(t *testing.T) {
	o := Writer{Issuer: "https://id.example", Log: slog.New(slog.DiscardHandler)}
	r := httptest.NewRequest(http.MethodPost, "/token", nil)
	for _, c := range []struct {
		err       error
		status    int
		challenge string
	}{
		{fosite.ErrInvalidClient, 401, `Basic realm="https://id.example"`},
		{fosite.ErrInvalidGrant, 400, ""},
		{SlowDown(), 429, ""},
		{errors.New("x"), 500, ""},
	} {
		w := httptest.NewRecorder()
		o.ClientError(w, r, c.err)
		if w.Code != c.status || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), c.challenge) || (c.challenge == "") != (w.Header().Get("WWW-Authenticate") == "") {
			t.Errorf("%v: %d %q", c.err, w.Code, w.Header().Get("WWW-Authenticate"))
		}
		if retry := w.Header().Get("Retry-After") != ""; retry != (c.status == 429 || c.status >= 500) || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%v: headers %v", c.err, w.Header())
		}
	}
}

// The log gets the cause of our own faults, and no words of strangers.
func TestLog(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	fault := fosite.ErrServerError.WithWrap(fmt.Errorf("issuing: %w", errors.New("disk full")))
	note(context.Background(), log, "here", Clean(fault), fault, "ref")
	if !strings.Contains(out.String(), "disk full") || !strings.Contains(out.String(), "ref") {
		t.Errorf("logged %s", out.String())
	}
	out.Reset()
	refusal := fosite.ErrInvalidScope.WithHint("Unknown: 王小明")
	note(context.Background(), log, "here", Clean(refusal), refusal, "")
	if strings.Contains(out.String(), "王") {
		t.Errorf("logged %s", out.String())
	}
}
