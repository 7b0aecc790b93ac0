// Command api is a resource server with package rp.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"ecardid/rp"
)

func main() {
	tokens, err := rp.New(rp.Config{
		Issuer:       os.Getenv("ECARD_ISSUER"),
		Audience:     "urn:ecardid:resource:insurance",
		Origin:       "http://localhost:" + os.Getenv("PORT"), // where callers reach us: DPoP proofs name it
		ClientID:     os.Getenv("CLIENT_ID"),                  // for opaque tokens and Live
		ClientSecret: os.Getenv("CLIENT_SECRET"),
	})
	if err != nil {
		log.Fatal(err)
	}
	read := rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.MFA}
	sure := rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.Live, MaxAge: 5 * time.Minute, Live: true}
	bills := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := rp.From(r.Context())
		fmt.Fprintf(w, "bills of %s", token.Subject)
	})
	http.Handle("GET /bills", tokens.Require(read, bills))
	http.Handle("POST /bills", tokens.Require(sure, bills))
	srv := &http.Server{Addr: "localhost:" + os.Getenv("PORT"), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(srv.ListenAndServe())
}
