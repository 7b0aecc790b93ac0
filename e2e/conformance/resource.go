package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"ecardid/rp"
)

// The test resource, for tokens that userinfo does not take: those without openid, and
// a client's own.
const (
	resourceBase    = "https://localhost:9445"
	resourceClient  = "conformance-resource"
	resourceAddress = "127.0.0.1:9445"
)

// serveResource runs an API that believes ecardid by package rp, as any other would.
// What citizens agreed to, it asks the server about each time; a client's own tokens it
// verifies by itself.
func (o *op) serveResource() (stop func() error, err error) {
	tokens, err := rp.New(rp.Config{
		Issuer: issuer, Audience: resourceBase, Origin: resourceBase, ClientID: resourceClient, ClientSecret: o.resource, HTTP: o.http,
	})
	if err != nil {
		return nil, err
	}
	host, err := o.keys.cert(server)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	for scope, live := range map[string]bool{"documents": true, "records": false} {
		mux.Handle("GET /"+scope, tokens.Require(rp.Demand{Scope: []string{scope}, Live: live}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{\"entries\":[]}\n")
		})))
	}
	l, err := net.Listen("tcp", resourceAddress)
	if err != nil {
		return nil, err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{host.tls()}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		},
	}}
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(l, "", "") }()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err := srv.Shutdown(ctx)
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
