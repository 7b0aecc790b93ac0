package oauth

import (
	"context"
	"net/http"
	"time"

	"ecardid/identity"
)

// Pages is what this room shows to people. Each method writes the whole answer;
// server adapts them to templates.
type Pages interface {
	Consent(w http.ResponseWriter, r *http.Request, v ConsentView)
	// Error shows a page for what cannot be sent back to the application.
	Error(w http.ResponseWriter, r *http.Request, status int, v ErrorView)
	// FormPost shows the page that posts an answer to the application (OAuth 2.0
	// Form Post Response Mode §2), by itself or, without script, by its button.
	FormPost(w http.ResponseWriter, r *http.Request, v FormPostView)
}

// A ConsentView is what the consent page says and asks. Its form posts back to
// Path with Token in the field "token" and one of the buttons "consent-allow" and
// "consent-deny". The CSRF token of all our forms is the server's, and beside it.
type ConsentView struct {
	Asker  identity.Asker
	Login  identity.Login // whose account is being spoken of
	Scopes []ScopeView
	// Payments are what the citizen agrees to this once (RFC 9396): asked for anew
	// each time, whatever was agreed to before.
	Payments []PaymentView
	// UserCode is the code that a device shows, which asks (RFC 8628 §3.3); empty for an
	// application. The page says to go on only if it is there, before the citizen.
	UserCode string
	Until    time.Time // when the consent ends by itself; zero: with the citizen's word
	Path     string
	Token    string
}

// A PaymentView is one payment as the citizen is to read it. What it holds was read
// strictly and is shown whole. Account and Reference may be empty.
type PaymentView struct {
	Amount    string // in yuan, the thousands set apart
	Payee     string
	Account   string
	Reference string
}

// A ScopeView is a scope, or a claim asked for by itself, in words by locale.
type ScopeView struct {
	Name    string
	Title   map[string]string
	Purpose map[string]string
	Claims  []map[string]string
	Basis   map[string]string // the law that lets this application ask; may be empty
	New     bool              // not agreed to before
}

// A Fault is a kind of error page; the page knows the words.
type Fault string

// The faults.
const (
	FaultClient   Fault = "client"   // no such application, or it is suspended
	FaultLapsed   Fault = "lapsed"   // the application's admission has run out
	FaultTesting  Fault = "testing"  // the application is being tested, and not with this citizen
	FaultRedirect Fault = "redirect" // the application asks to be answered where it may not
	FaultRequest  Fault = "request"  // the application's request makes no sense
	FaultExpired  Fault = "expired"  // the request is too old, of another browser, or never was
	FaultAnswered Fault = "answered" // the request was answered before
	FaultForm     Fault = "form"     // the form is not one of ours, or of another login
	FaultBusy     Fault = "busy"     // come back in a moment
	FaultServer   Fault = "server"   // ours
)

// An ErrorView is an error for a person. Code is the OAuth name of the error, for
// whoever looks after the application; it holds nothing that was sent to us.
type ErrorView struct {
	Fault     Fault
	Code      string
	Reference string // also in the log, beside the cause
}

// A FormPostView is an answer to be posted to the application.
type FormPostView struct {
	Action string
	Fields []Field
}

// A Field is a hidden input.
type Field struct{ Name, Value string }

type localesKey struct{}

// WithUILocales notes what ui_locales asked for (OpenID Connect Core §3.1.2.1), for
// whoever implements Logins.Raise.
func WithUILocales(ctx context.Context, tags []string) context.Context {
	return context.WithValue(ctx, localesKey{}, tags)
}

// UILocales returns the language tags the application asked for, in its order.
// They are a stranger's words: match them, never print them.
func UILocales(ctx context.Context) []string {
	tags, _ := ctx.Value(localesKey{}).([]string)
	return tags
}
