package rp_test

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"ecardid/rp"
)

// An API whose every address says what it takes to be called.
func Example() {
	tokens, err := rp.New(rp.Config{
		Issuer:   "https://login.ecard.example",
		Audience: "urn:ecardid:resource:insurance",
		Origin:   "https://api.hospital.example",
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /bills", tokens.Require(rp.Demand{Scope: []string{"insurance.read"}, ACR: rp.MFA},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, _ := rp.From(r.Context())
			fmt.Fprintf(w, "the bills of %s", token.Subject)
		})))
	// http.ListenAndServeTLS(":443", "tls.crt", "tls.key", mux)
}

// Where a token that was revoked a minute ago would be one too many, ask each time.
// That needs credentials.
func ExampleDemand() {
	_, err := rp.New(rp.Config{
		Issuer: "https://login.ecard.example", Audience: "urn:ecardid:resource:insurance",
		ClientID: "hospital-api", ClientSecret: "from a file",
	})
	pay := rp.Demand{
		Scope:  []string{"insurance.pay"},
		ACR:    rp.Bound,
		MaxAge: 5 * time.Minute,
		Live:   true,
	}
	fmt.Println(pay.ACR, err)
	// Output: urn:ecardid:acr:bound <nil>
}

func ExampleToken_AtLeast() {
	t := rp.Token{ACR: rp.Bound}
	fmt.Println(t.AtLeast(rp.MFA), t.AtLeast(rp.Live))
	// Output: true false
}
