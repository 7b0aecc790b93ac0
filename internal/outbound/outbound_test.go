package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve starts a host on this machine and returns its address and a pool that
// trusts it.
func serve(t *testing.T, h http.HandlerFunc) (string, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return strings.TrimPrefix(s.URL, "https://"), pool
}

func TestGet(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:9") // is not asked
	followed := false
	host, roots := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, r.Header.Get("Accept"))
		case "/large":
			_, _ = w.Write(make([]byte, maxBody+1))
		case "/full":
			_, _ = w.Write(make([]byte, maxBody))
		case "/redirect":
			http.Redirect(w, r, "/keys", http.StatusFound)
		case "/target":
			followed = true
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/headers":
			w.Header().Set("X-Long", strings.Repeat("x", maxHeader))
		}
	})
	_, port, _ := net.SplitHostPort(host)
	for _, c := range []struct {
		name string
		cfg  Config
		url  string
		want error // nil: succeeds; errAny: any
	}{
		{"allowed", Config{Allow: []string{"127.0.0.1"}, Roots: roots}, "https://" + host + "/keys", nil},
		{"allowed-with-port", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/keys", nil},
		{"full", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/full", nil},
		// Being on the list makes no address public.
		{"private", Config{Only: []string{host}, Roots: roots}, "https://" + host + "/keys", errAny},
		// The name is not the address it has.
		{"name-of-private", Config{Only: []string{"localhost:" + port}, Roots: roots}, "https://localhost:" + port + "/keys", errAny},
		{"allowed-another-port", Config{Allow: []string{"127.0.0.1:1"}, Roots: roots}, "https://" + host + "/keys", ErrURL},
		{"listed-by-name-alone", Config{Only: []string{"127.0.0.1"}, Allow: []string{"127.0.0.1:1"}, Roots: roots}, "https://" + host + "/keys", ErrURL},
		{"no-list", Config{Roots: roots}, "https://" + host + "/keys", ErrURL},
		{"on-both-lists", Config{Only: []string{host}, Allow: []string{host}, Roots: roots}, "https://" + host + "/keys", nil},
		{"stranger's-certificate", Config{Allow: []string{host}}, "https://" + host + "/keys", errAny},
		{"too-large", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/large", ErrAnswer},
		{"redirect", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/redirect", ErrAnswer},
		{"not-200", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/empty", ErrAnswer},
		{"long-headers", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/headers", errAny},
		{"http", Config{Allow: []string{host}}, "http://" + host + "/keys", ErrURL},
		{"file", Config{}, "file:///etc/passwd", ErrURL},
		{"user", Config{Allow: []string{host}, Roots: roots}, "https://a:b@" + host + "/keys", ErrURL},
		{"fragment", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/keys#x", ErrURL},
		{"full-width", Config{Allow: []string{"localhost"}, Roots: roots}, "https://ｌocalhost:" + port + "/keys", ErrURL},
		{"nothing", Config{}, "", ErrURL},
		{"no-host", Config{}, "https:///keys", ErrURL},
		{"long", Config{Allow: []string{host}, Roots: roots}, "https://" + host + "/" + strings.Repeat("x", maxURL), ErrURL},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := New(c.cfg)
			defer client.Close()
			body, header, err := client.Get(t.Context(), c.url, "application/json")
			switch {
			case c.want == nil && (err != nil || len(body) == 0 || header == nil):
				t.Errorf("%d octets, %v", len(body), err)
			case c.want != nil && (err == nil || body != nil || header != nil):
				t.Error("was called, and gave something")
			case c.want != nil && c.want != errAny && !errors.Is(err, c.want):
				t.Errorf("%v, want %v", err, c.want)
			}
			if outer := new(url.Error); errors.As(err, &outer) {
				t.Errorf("the error repeats the URL: %v", err)
			}
		})
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

var errAny = errors.New("any")

// hosts is a list that changes.
type hosts map[string]bool

func (h hosts) Names(_ context.Context, address string) bool { return h[address] }

// Who may be called is one question, asked for each call (SECURITY SR1).
func TestCalls(t *testing.T) {
	also := hosts{"admitted.example:443": true, "admitted.example:8443": true}
	plain := New(Config{Only: []string{"Listed.example", "ported.example:8443", "[2001:db8::1]"}, Allow: []string{"inside.example", "inside-one.example:444"}})
	defer plain.Close()
	client := plain.Besides(also)
	for url, want := range map[string]bool{
		"https://listed.example/keys":        true,
		"https://LISTED.example:443/":        true,
		"https://listed.example./":           true,
		"https://listed.example:8443/":       false, // which port, the list says
		"https://ported.example:8443/":       true,
		"https://ported.example/":            false,
		"https://[2001:db8::1]/":             true,
		"https://inside.example:9/":          true,
		"https://inside-one.example:444/":    true,
		"https://inside-one.example/":        false,
		"https://admitted.example/":          true,
		"https://admitted.example:8443/":     true,
		"https://admitted.example:8444/":     false,
		"https://www.listed.example/":        false,
		"https://listed.example.evil.org/":   false,
		"https://listed.example@evil.org/":   false,
		"https://evil.org/?listed.example":   false,
		"http://listed.example/":             false,
		"https://169.254.169.254/latest":     false,
		"https://listed.example:443@evil.x/": false,
		"":                                   false,
	} {
		if got := client.Calls(t.Context(), url); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
	if plain.Calls(t.Context(), "https://admitted.example/") {
		t.Error("one client's hosts became another's")
	}
	delete(also, "admitted.example:443")
	if _, err := client.Post(t.Context(), "https://admitted.example/bye", "", nil); !errors.Is(err, ErrURL) {
		t.Errorf("admitted no more: %v", err)
	}
	for url, want := range map[string]string{
		"https://A.example/x": "a.example:443", "https://a.example.:8443": "a.example:8443", "https://[::1]/": "[::1]:443",
		"http://a.example/": "", "https:///": "", "a.example": "", "%": "",
	} {
		if got := Address(url); got != want {
			t.Errorf("%s: %q", url, got)
		}
	}
}

func TestPost(t *testing.T) {
	var got string
	host, roots := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.Method + " " + r.Header.Get("Content-Type") + " " + strings.Join(r.Header["Authorization"], "|") + string(body)
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(make([]byte, 2*maxBody))
	})
	client := New(Config{Allow: []string{host}, Roots: roots})
	defer client.Close()
	for path, want := range map[string]int{"/": http.StatusBadRequest, "/away": http.StatusTemporaryRedirect} {
		status, err := client.Post(t.Context(), "https://"+host+path, "application/x-www-form-urlencoded", []byte("a=b"))
		if err != nil || status != want || got != "POST application/x-www-form-urlencoded a=b" {
			t.Errorf("%s: %d, %v, sent %q", path, status, err, got)
		}
	}
	if _, err := client.PostAs(t.Context(), "https://"+host, "text/plain", "Bearer x ", []byte("a=b")); err != nil || got != "POST text/plain Bearer xa=b" {
		t.Errorf("%v, sent %q", err, got)
	}
	if _, err := client.Post(t.Context(), "http://"+host, "", nil); !errors.Is(err, ErrURL) {
		t.Errorf("http: %v", err)
	}
}

// The demonstration's relying party is posted to in the clear, and nothing else is.
func TestDemo(t *testing.T) {
	got := 0
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got++ }))
	defer s.Close()
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another was called") }))
	defer other.Close()
	at := strings.TrimPrefix(s.URL, "http://")
	client := New(Config{Demo: at})
	defer client.Close()
	if status, err := client.Post(t.Context(), s.URL+"/bye", "text/plain", nil); err != nil || status != http.StatusOK || got != 1 {
		t.Errorf("%d %v", status, err)
	}
	if _, _, err := client.Get(t.Context(), s.URL+"/keys", ""); !errors.Is(err, ErrURL) {
		t.Errorf("fetched: %v", err)
	}
	for _, url := range []string{other.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1), strings.Replace(s.URL, "//", "//a@", 1)} {
		if _, err := client.Post(t.Context(), url, "", nil); !errors.Is(err, ErrURL) {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, no := range []string{"", "localhost:80", "192.0.2.1:80", "127.0.0.1"} {
		if c := New(Config{Demo: no}); c.demo != "" {
			t.Errorf("%q was taken", no)
		}
	}
}

func TestOldTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	client := New(Config{Allow: []string{"127.0.0.1"}, Roots: roots})
	if _, err := client.Post(t.Context(), s.URL, "", nil); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
}

// A host that hangs holds its own places, for as long as a call may last.
func TestHangingHost(t *testing.T) {
	release := make(chan struct{})
	host, roots := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	client := New(Config{Allow: []string{host}, Roots: roots})
	client.timeout = 300 * time.Millisecond
	var held sync.WaitGroup
	for range maxPerHost {
		held.Go(func() {
			if _, _, err := client.Get(t.Context(), "https://"+host+"/", ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call that hangs: %v", err)
			}
		})
	}
	for deadline := time.Now().Add(5 * time.Second); len(client.places) < maxPerHost; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the calls did not begin")
		}
	}
	if _, _, err := client.Get(t.Context(), "https://"+host+"/", ""); !errors.Is(err, ErrBusy) {
		t.Errorf("one more for the host: %v", err)
	}
	held.Wait()
	if len(client.places) != 0 || len(client.calls) != 0 {
		t.Errorf("%d places and %d hosts are still held", len(client.places), len(client.calls))
	}
}

func TestNoPlace(t *testing.T) {
	client := New(Config{Only: []string{"id.example"}})
	for range maxCalls {
		client.places <- struct{}{}
	}
	client.timeout = 20 * time.Millisecond
	if _, _, err := client.Get(t.Context(), "https://id.example/", ""); !errors.Is(err, ErrBusy) {
		t.Errorf("%v, want ErrBusy", err)
	}
	if len(client.calls) != 0 {
		t.Error("a place of the host is still held")
	}
}
