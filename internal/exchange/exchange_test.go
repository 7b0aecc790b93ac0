package exchange_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"ecardid/internal/exchange"
)

func post(types []string, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/?a=query", strings.NewReader(body))
	r.Header["Content-Type"] = types
	return r
}

func TestForm(t *testing.T) {
	form := []string{exchange.FormType}
	for _, row := range []struct {
		name, body string
		types      []string
		want       error
	}{
		{"good", "a=1&b=%E4%BA%BA&c=", form, nil},
		{"nothing", "", form, nil},
		{"charset", "a=1", []string{exchange.FormType + "; charset=UTF-8"}, nil},
		{"another-charset", "a=1", []string{exchange.FormType + "; charset=gbk"}, exchange.ErrMediaType},
		{"no-type", "a=1", nil, exchange.ErrMediaType},
		{"two-types", "a=1", append(form, exchange.FormType), exchange.ErrMediaType},
		{"broken-type", "a=1", []string{"a/b/c"}, exchange.ErrMediaType},
		{"json", "{}", []string{exchange.JSONType}, exchange.ErrMediaType},
		{"multipart", "a=1", []string{"multipart/form-data; boundary=x"}, exchange.ErrMediaType},
		{"twice", "a=1&a=1", form, exchange.ErrMalformed},
		{"twice-empty", "a=&a=", form, exchange.ErrMalformed},
		{"twice-escaped", "a=1&%61=1", form, exchange.ErrMalformed},
		{"broken-escape", "a=%zz", form, exchange.ErrMalformed},
		{"semicolon", "a=1;b=2", form, exchange.ErrMalformed},
		{"not-text", "a=%ff", form, exchange.ErrMalformed},
		{"name-not-text", "%ff=1", form, exchange.ErrMalformed},
		{"nul", "a=%00", form, exchange.ErrMalformed},
		{"name-with-nul", "%00=1", form, exchange.ErrMalformed},
		{"too-large", "a=" + strings.Repeat("x", exchange.MaxBody), form, exchange.ErrTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			values, err := exchange.Form(httptest.NewRecorder(), post(row.types, row.body))
			if !errors.Is(err, row.want) || err != nil && (row.want == nil || values != nil) {
				t.Fatalf("%v, %v", values, err)
			}
			if values.Get("a") == "query" {
				t.Error("the query counts as posted")
			}
		})
	}
}

func TestJSON(t *testing.T) {
	for _, row := range []struct {
		name, body string
		typ        string
		want       error
	}{
		{"good", `{"a":1}`, exchange.JSONType, nil},
		{"as-large-as-may-be", strings.Repeat("x", exchange.MaxBody), exchange.JSONType, nil},
		{"too-large", strings.Repeat("x", exchange.MaxBody+1), exchange.JSONType, exchange.ErrTooLarge},
		{"form", "a=1", exchange.FormType, exchange.ErrMediaType},
		{"text", "{}", "text/plain", exchange.ErrMediaType},
	} {
		t.Run(row.name, func(t *testing.T) {
			body, err := exchange.JSON(httptest.NewRecorder(), post([]string{row.typ}, row.body))
			if !errors.Is(err, row.want) || err == nil && string(body) != row.body || err != nil && (row.want == nil || body != nil) {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
	r := post([]string{exchange.JSONType}, "")
	r.Body = http.NoBody
	if body, err := exchange.Body(httptest.NewRecorder(), r); err != nil || len(body) != 0 {
		t.Errorf("%q, %v", body, err)
	}
}

func TestAnswer(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	w := httptest.NewRecorder()
	exchange.Answer(w, log, http.StatusForbidden, map[string]string{"problem": "<b>"})
	h := w.Header()
	if w.Code != http.StatusForbidden || w.Body.String() != "{\"problem\":\"\\u003cb\\u003e\"}\n" || h.Get("Content-Type") != exchange.JSONType ||
		h.Get("Cache-Control") != "no-store" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d %v %s", w.Code, h, w.Body)
	}
	w = httptest.NewRecorder()
	exchange.Answer(w, log, http.StatusOK, func() {})
	if w.Code != http.StatusInternalServerError || w.Body.String() != "{\"error\":\"server_error\"}\n" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// A form that was read has each field once, as text; one that was not has none.
func FuzzForm(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=1&a=2", "a=%00", "%ff", "a;b", "=&==", "a=+%2B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		values, err := exchange.Form(httptest.NewRecorder(), post([]string{exchange.FormType}, body))
		if err != nil {
			if values != nil {
				t.Fatalf("%v, and yet %v", err, values)
			}
			return
		}
		for name, vs := range values {
			if len(vs) != 1 || !utf8.ValidString(name+vs[0]) || strings.ContainsRune(name+vs[0], 0) {
				t.Fatalf("%q: %q", name, vs)
			}
		}
	})
}
