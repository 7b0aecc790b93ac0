package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/cmd/ecardid/internal/config"
)

// certificate makes a self-signed one for this machine.
func certificate(t *testing.T, name string) (tls.Certificate, []byte, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, chain, private
}

// TestServeCertificates: a test profile with both TLS listeners. The second serves what
// the first does and asks for certificates; the metadata says where it is.
func TestServeCertificates(t *testing.T) {
	file, issuer := configured(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(at)
	if err != nil {
		t.Fatal(err)
	}
	issuer, base := strings.Replace(issuer, "http://", "https://", 1), "https://localhost:"+port
	_, chain, private := certificate(t, "ours")
	theirs, ca, _ := certificate(t, "theirs")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"c.pem": chain, "k.pem": private, "ca.pem": ca,
		filepath.Base(file): []byte(strings.Replace(string(text), "issuer: http://", "issuer: https://", 1) +
			"tls: {certificate: c.pem, key: k.pem, minimum: \"1.2\"}\nmtls: {listen: \"" + at + "\", base: \"" + base + "\", client_ca: ca.pem}\n" +
			"outbound: {allow: [localhost], ca: ca.pem}\ntest_profile: true\nregistration: {open: true}\nfloor: basic\n"),
	} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := config.Load(file, config.NeedServer); err != nil {
		t.Fatal(err)
	}
	if code, said := runHere(t.Context(), "migrate", "--config", file); code != exitOK {
		t.Fatalf("migrate: %d %s", code, said)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan string, 1)
	go func() {
		_, said := runHere(ctx, "serve", "--config", file)
		ended <- said
	}()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{theirs}}, ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	read := func(origin string) (map[string]any, error) {
		resp, err := client.Get(origin + "/.well-known/openid-configuration")
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		var m map[string]any
		return m, json.NewDecoder(resp.Body).Decode(&m)
	}
	var here map[string]any
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if here, err = read(base); err == nil {
			break
		}
	}
	if err != nil {
		stop()
		t.Fatalf("not served: %v: %s", err, <-ended)
	}
	there, err := read(issuer)
	if err != nil {
		t.Fatal(err)
	}
	aliases, _ := there["mtls_endpoint_aliases"].(map[string]any)
	if here["issuer"] != issuer || there["issuer"] != issuer || aliases["token_endpoint"] != base+"/token" ||
		there["tls_client_certificate_bound_access_tokens"] != true {
		t.Errorf("metadata: %v and %v", here["issuer"], there)
	}
	// A self-signed client registers itself and is known by its certificate.
	resp, err := client.Post(issuer+"/register", "application/json", strings.NewReader(`{"client_name":"Bank","grant_types":["client_credentials"],
		"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_san_dns":"localhost"}`))
	if err != nil {
		t.Fatal(err)
	}
	var registered struct {
		ID    string `json:"client_id"`
		Token string `json:"registration_access_token"`
		URI   string `json:"registration_client_uri"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&registered); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("registered: %d, %v", resp.StatusCode, err)
	}
	resp.Body.Close()
	for origin, want := range map[string]string{base: "invalid_scope", issuer: "invalid_client"} {
		resp, err := client.Post(origin+"/token", "application/x-www-form-urlencoded",
			strings.NewReader("grant_type=client_credentials&scope=card.status&client_id="+registered.ID))
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Error string `json:"error"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || got.Error != want {
			t.Errorf("at %s: %d %+v, %v, want %s", origin, resp.StatusCode, got, err, want)
		}
		resp.Body.Close()
	}
	for _, step := range []struct {
		method, body string
		want         int
	}{
		{http.MethodGet, "", http.StatusOK},
		{http.MethodPut, `{"client_id":"` + registered.ID + `","client_name":"Bank","grant_types":["client_credentials"]}`, http.StatusOK},
		{http.MethodPut, `client_id=x`, http.StatusBadRequest},
		{http.MethodDelete, "", http.StatusNoContent},
		{http.MethodGet, "", http.StatusUnauthorized},
		{http.MethodPatch, "", http.StatusMethodNotAllowed},
	} {
		r, err := http.NewRequest(step.method, registered.URI, strings.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+registered.Token)
		if step.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != step.want {
			t.Errorf("%s %s: %d, want %d", step.method, step.body, resp.StatusCode, step.want)
		}
	}
	stop()
	select {
	case said := <-ended:
		if !strings.Contains(said, "TEST PROFILE") {
			t.Errorf("no warning: %s", said)
		}
	case <-time.After(drainTime + 5*time.Second):
		t.Fatal("it did not stop")
	}
}
