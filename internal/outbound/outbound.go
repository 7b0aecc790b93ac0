package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"ecardid/internal/clock"
)

const (
	callTimeout = 5 * time.Second // SECURITY SR1, from waiting for a place to the last byte
	dialTimeout = 2 * time.Second
	maxBody     = 64 << 10
	maxHeader   = 16 << 10
	maxURL      = 2048
	maxCalls    = 32 // at once
	maxPerHost  = 4  // of those: a host that hangs leaves places for the others
)

var (
	// ErrURL is returned for a URL that is not called whatever happens.
	ErrURL = errors.New("outbound: not a URL that is called")

	// ErrBusy is returned when there was no place among the calls. Another try later
	// may find one.
	ErrBusy = errors.New("outbound: too many calls")

	// ErrAnswer is returned by Get for an answer that is too long or not 200.
	ErrAnswer = errors.New("outbound: unusable answer")
)

// Hosts knows further hosts that may be called.
type Hosts interface {
	// Names reports whether address, host:port in its one spelling, is one of them. What
	// it cannot find out is none.
	Names(ctx context.Context, address string) bool
}

// Config says what a Client may do. The zero value calls nobody.
type Config struct {
	// Only are the hosts that may be called. An entry is host:port, or a host, which is
	// then called at port 443. There are no patterns.
	Only []string
	// Allow are hosts that may be called though they have special-use addresses, such as
	// a test suite on this machine. An entry is host:port, or a host, which may then be
	// called at every port. It allows a host, not networks.
	Allow []string
	// Demo is the address (ADDRESS:PORT on loopback) of a server that may be posted to
	// without TLS. It is for the demonstration, whose relying party is told of logouts
	// within one machine; anything else in here is ignored.
	Demo  string
	Roots *x509.CertPool // nil: the system's
	Clock clock.Clock    // that certificates are judged by; nil: the machine's
}

// A Client makes calls. It is safe for concurrent use.
type Client struct {
	only, allow []string
	besides     Hosts // nil: none
	demo        string
	*line
}

// A line is the way out: connections, and the places on them. Clients that were made
// of one another share it.
type line struct {
	http    *http.Client
	places  chan struct{}
	timeout time.Duration

	mu    sync.Mutex
	calls map[string]int // under way, by host
}

// New returns a Client.
func New(cfg Config) *Client {
	c := &Client{
		only: withPorts(canonical(cfg.Only)), allow: canonical(cfg.Allow),
		line: &line{places: make(chan struct{}, maxCalls), calls: map[string]int{}, timeout: callTimeout},
	}
	if at, err := netip.ParseAddrPort(cfg.Demo); err == nil && at.Addr().IsLoopback() {
		c.demo = cfg.Demo
	}
	security := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: cfg.Roots}
	if cfg.Clock != nil {
		security.Time = cfg.Clock.Now
	}
	guarded := &net.Dialer{Timeout: dialTimeout, Control: Guard(nil)}
	allowed := &net.Dialer{Timeout: dialTimeout, Control: Guard(func(netip.Addr) bool { return true })}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy: nil, // the guard must see the real address
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				if named(c.allow, address) || address == c.demo {
					return allowed.DialContext(ctx, network, address)
				}
				return guarded.DialContext(ctx, network, address)
			},
			TLSClientConfig:        security,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true, // what is 64 kB on the wire is 64 kB here
			MaxConnsPerHost:        maxPerHost,
			MaxIdleConns:           maxCalls,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  callTimeout,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// Besides returns a Client that calls more hosts over the same line.
func (c *Client) Besides(more Hosts) *Client {
	return &Client{only: c.only, allow: c.allow, besides: more, demo: c.demo, line: c.line}
}

// Calls reports whether the URL is one that would be called, as things are now.
func (c *Client) Calls(ctx context.Context, url string) bool {
	_, err := c.check(ctx, http.MethodGet, url)
	return err == nil
}

// Get returns what is at the URL, if that is 200 and 64 kB at most. What media type
// it has the caller reads in the header; accept is only a wish.
func (c *Client) Get(ctx context.Context, url, accept string) ([]byte, http.Header, error) {
	status, header, body, err := c.call(ctx, http.MethodGet, url, http.Header{"Accept": {accept}}, nil)
	switch {
	case err != nil:
		return nil, nil, err
	case status != http.StatusOK: // a redirect among them
		return nil, nil, fmt.Errorf("%w: status %d", ErrAnswer, status)
	}
	return body, header, nil
}

// Post sends body and returns the status; what is said beside it is thrown away.
func (c *Client) Post(ctx context.Context, url, contentType string, body []byte) (status int, err error) {
	return c.PostAs(ctx, url, contentType, "", body)
}

// PostAs is Post with an Authorization header, unless that is empty.
func (c *Client) PostAs(ctx context.Context, url, contentType, authorization string, body []byte) (status int, err error) {
	status, _, _, err = c.call(ctx, http.MethodPost, url, http.Header{"Content-Type": {contentType}, "Authorization": {authorization}}, body)
	return status, err
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call makes one. Header fields that are empty are not sent.
func (c *Client) call(ctx context.Context, method, raw string, fields http.Header, body []byte) (int, http.Header, []byte, error) {
	u, err := c.check(ctx, method, raw)
	if err != nil {
		return 0, nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	leave, err := c.enter(ctx, address(u))
	if err != nil {
		return 0, nil, nil, err
	}
	defer leave()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	for name := range fields {
		if value := fields.Get(name); value != "" {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("User-Agent", "ecardid")
	res, err := c.http.Do(req)
	if err != nil {
		// A *url.Error repeats the URL, and with it whatever a stranger wrote there.
		if outer := new(url.Error); errors.As(err, &outer) {
			err = outer.Err
		}
		return 0, nil, nil, fmt.Errorf("outbound: %w", err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	switch {
	case method != http.MethodGet: // the status was said before the rest
	case err != nil:
		return 0, nil, nil, fmt.Errorf("outbound: %w", err)
	case len(got) > maxBody:
		return 0, nil, nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxBody)
	}
	return res.StatusCode, res.Header, got, nil
}

// check reads a URL that may be called: https, nobody's name in it, and a host that is
// on the list.
func (c *Client) check(ctx context.Context, method, raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("%w: too long", ErrURL)
	}
	u, err := url.Parse(raw)
	if err == nil && c.demo != "" && u.Scheme == "http" && u.Host == c.demo && u.User == nil && method == http.MethodPost {
		return u, nil
	}
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" || u.Fragment != "" ||
		strings.ContainsFunc(u.Host, func(r rune) bool { return r > '~' }) { // one spelling: the ASCII one (RFC 5890 §2.3.2.1)
		return nil, fmt.Errorf("%w: an https URL without user and fragment is needed", ErrURL)
	}
	at := address(u)
	if !slices.Contains(c.only, at) && !named(c.allow, at) && (c.besides == nil || !c.besides.Names(ctx, at)) {
		return nil, fmt.Errorf("%w: the host is not on the list", ErrURL)
	}
	return u, nil
}

// Address is whom a URL's host is called as: host:port in one spelling, the form in
// which [Hosts] is asked. It is empty for a URL that is not https.
func Address(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return ""
	}
	return address(u)
}

// enter takes a place among the calls; leave gives it back. A host with all its
// places taken hears so at once; for a place among all it waits until ctx ends.
func (c *Client) enter(ctx context.Context, host string) (leave func(), err error) {
	c.mu.Lock()
	if c.calls[host] >= maxPerHost {
		c.mu.Unlock()
		return nil, ErrBusy
	}
	c.calls[host]++
	c.mu.Unlock()
	left := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.calls[host]--; c.calls[host] == 0 {
			delete(c.calls, host)
		}
	}
	select {
	case c.places <- struct{}{}:
		return func() { <-c.places; left() }, nil
	case <-ctx.Done():
		left()
		return nil, ErrBusy
	}
}

// address is host:port as the dialler will see it, in its one spelling.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(spelled(u.Hostname()), port)
}

func spelled(host string) string {
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func canonical(hosts []string) []string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = spelled(h)
	}
	return list
}

// withPorts writes out the port of https where there is none.
func withPorts(hosts []string) []string {
	for i, h := range hosts {
		if _, _, err := net.SplitHostPort(h); err != nil {
			hosts[i] = h + ":443"
		}
	}
	return hosts
}

// named reports whether the list has address, or its host for all ports.
func named(list []string, address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	host = spelled(host)
	return slices.Contains(list, host) || slices.Contains(list, net.JoinHostPort(host, port))
}
