package main

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/authn/notify"
	"ecardid/internal/jose"
)

// What an operator did at the command line reaches the citizen by the gateway, once a
// server runs, in a letter that the published keys verify.
func TestGateway(t *testing.T) {
	got := make(chan string, 8)
	gate := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if r.Header.Get("Content-Type") == "application/jwt" && r.URL.Path == "/notices" {
			got <- string(body)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	gate.Config.ErrorLog = log.New(io.Discard, "", 0)
	gate.StartTLS()
	defer gate.Close()

	file, issuer := configured(t)
	dir := filepath.Dir(file)
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("gate.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: gate.Certificate().Raw})))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Base(file), string(text)+"\nnotices: {url: \""+gate.URL+"/notices\"}\noutbound: {allow: [\""+strings.TrimPrefix(gate.URL, "https://")+"\"], ca: gate.pem}\n")
	people := write("people.csv", "name,id_number,phone,card_number\n张三,11010519491231002X,13800138000,A12345678\n")
	for _, args := range [][]string{
		{"migrate"}, {"citizen", "import", people, "--codes", filepath.Join(dir, "codes.csv")}, {"citizen", "freeze", "A12345678", "--reason", "found"},
	} {
		if code, said := runHere(t.Context(), append(args, "--config", file)...); code != exitOK {
			t.Fatalf("%v: %d %s", args, code, said)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan string, 1)
	go func() {
		_, said := runHere(ctx, "serve", "--config", file)
		ended <- said
	}()
	defer func() {
		stop()
		<-ended
	}()
	var letter string
	select {
	case letter = <-got:
	case said := <-ended:
		ended <- said
		t.Fatal(said)
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	resp, err := http.Get(issuer + "/jwks")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseSet(body)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(letter)
	if err != nil {
		t.Fatal(err)
	}
	verified, err := parsed.Verify(set, jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var l notify.Letter
	if err := verified.Claims(&l); err != nil || l.Kind != "citizen.freeze" || l.To != "13800138000" || l.Text != "您的卡已冻结" || l.Issuer != issuer {
		t.Errorf("%+v, %v", l, err)
	}
}
