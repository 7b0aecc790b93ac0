package house

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"ecardid/internal/outbound"
)

// A Receiver is a relying party's push endpoint for signals (RFC 8935).
type Receiver struct {
	URL      string
	Outbound *outbound.Client // calls it and nobody else

	mu  sync.Mutex
	got []Received
}

// A Received is a security event token, and when it came by the world's clock.
type Received struct {
	At    time.Time
	Token string
}

// NewReceiver opens one that takes everything.
func NewReceiver(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		const most = 64 << 10
		body, err := io.ReadAll(io.LimitReader(req.Body, most))
		if err != nil || req.Method != http.MethodPost || req.Header.Get("Content-Type") != "application/secevent+jwt" {
			t.Errorf("pushed with %s %s: %v", req.Method, req.Header.Get("Content-Type"), err)
		}
		r.mu.Lock()
		r.got = append(r.got, Received{time.Now(), string(body)})
		r.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	host := strings.TrimPrefix(srv.URL, "https://")
	r.URL, r.Outbound = srv.URL+"/events", outbound.New(outbound.Config{Only: []string{host}, Allow: []string{host}, Roots: roots})
	t.Cleanup(r.Outbound.Close)
	return r
}

// Since are those that came after the first n.
func (r *Receiver) Since(n int) []Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Received(nil), r.got[n:]...)
}
