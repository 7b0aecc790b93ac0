package register

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/form"
	"ecardid/oauth/respond"
)

// Paths of the endpoint and of one registration.
const (
	Path       = "/register"
	ClientPath = "/register/{id}"
)

const (
	maxBody   = 64 << 10 // SECURITY DS1
	tokenSize = 32       // bytes of a registration access token
	mediaType = "application/json"
)

// A Store keeps registrations.
type Store interface {
	InitialToken(ctx context.Context, hash []byte, now time.Time) (oauth.InitialToken, error)
	RegisterClient(ctx context.Context, initial []byte, c oauth.Client, now time.Time, e audit.Event) error
	// UpdateClient: see oauth.Registrations.
	UpdateClient(ctx context.Context, c oauth.Client, e audit.Event) error
	WithdrawClient(ctx context.Context, id string, now time.Time, e audit.Event) error
}

// A Registry knows the live clients, and reads them anew when told.
type Registry interface {
	Client(ctx context.Context, id string) (*oauth.Client, error)
	Reload(ctx context.Context) error
}

// Keys are our own. Renew makes what is missing.
type Keys interface {
	Signer(alg jose.Alg) (jose.Key, error)
	Renew(ctx context.Context) error
}

// A Fetcher fetches documents under SECURITY SR1.
type Fetcher interface {
	Get(ctx context.Context, url, accept string) ([]byte, http.Header, error)
	// Calls reports whether the URL's host is one that is called at all.
	Calls(ctx context.Context, url string) bool
}

// Open is how everybody may register, in a test profile.
type Open struct {
	Profile      oauth.Profile
	Scope        []string
	PKCEOptional bool
}

// A Handler serves both paths.
type Handler struct {
	Issuer   string
	Store    Store
	Registry Registry
	Keys     Keys
	Offer    oauth.Offer
	Secrets  oauth.Keyed
	Fetch    Fetcher // nil: nobody is called, and no URI that we would call is taken
	Open     *Open   // nil: an initial access token is needed
	// Source names where a request comes from, as far as it can be trusted.
	Source  func(*http.Request) string
	Respond respond.Writer
	Clock   clock.Clock
	Log     *slog.Logger

	pace    pace // by source
	changes pace // by client
}

// ServeHTTP implements http.Handler for Path.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodPost)
		return
	}
	if err := h.register(w, r); err != nil {
		h.fail(w, r, err)
	}
}

func (h *Handler) register(w http.ResponseWriter, r *http.Request) error {
	ctx, now, source := r.Context(), h.Clock.Now(), h.Source(r)
	if !h.pace.take(source, refill, now) {
		return tooFast()
	}
	terms, initial, err := h.ticket(r, now)
	if err != nil {
		return err
	}
	body, err := read(w, r)
	if err != nil {
		return err
	}
	c, err := oauth.ValidateRegistration(body, terms)
	if err != nil {
		return refused(err)
	}
	shown, err := h.ready(ctx, &c, nil)
	if err != nil {
		return err
	}
	token := secret.New(tokenSize)
	c.Dynamic, c.Registration, c.Created, c.Updated = true, token.Hash(), now, now
	switch err := h.Store.RegisterClient(ctx, initial, c, now, event(audit.ClientRegistered, c.ID, now)); {
	case errors.Is(err, identity.ErrNotFound):
		return wrongToken(c.ID, "its last use went to somebody else", err)
	case err != nil:
		return fosite.ErrServerError.WithWrap(fmt.Errorf("registering a client: %w", err))
	}
	h.reload(ctx)
	return h.answer(w, http.StatusCreated, &c, shown, token)
}

// ticket is what the client may be admitted on, and the hash of the initial access
// token that says so.
func (h *Handler) ticket(r *http.Request, now time.Time) (oauth.Terms, []byte, error) {
	token, err := bearer(r)
	if errors.Is(err, errNoToken) && h.Open != nil {
		return oauth.Terms{
			Scope:     h.Open.Scope,
			Admission: oauth.Client{Profile: h.Open.Profile, PKCEOptional: h.Open.PKCEOptional},
		}, nil, nil
	}
	if err != nil {
		return oauth.Terms{}, nil, wrongToken("", "no initial access token", err)
	}
	hash := token.Hash()
	t, err := h.Store.InitialToken(r.Context(), hash, now)
	if errors.Is(err, identity.ErrNotFound) {
		return oauth.Terms{}, nil, wrongToken("", "unknown, expired or used up initial access token", err)
	}
	if err != nil {
		return oauth.Terms{}, nil, fosite.ErrTemporarilyUnavailable.WithWrap(err)
	}
	return oauth.Terms{Scope: strings.Fields(t.Scope), Admission: oauth.Client{Profile: t.Profile}}, hash, nil
}

// ready sees to it that all the client counts on is there: what it asks of this
// server, whom we would call for it, its sector, our keys, its secret. It returns the
// secret if it made one. What it was before is nil for a new client.
func (h *Handler) ready(ctx context.Context, c, before *oauth.Client) (secret.Value, error) {
	if err := h.Offer.Check(c); err != nil {
		return secret.Value{}, refused(err)
	}
	if err := h.callable(ctx, c); err != nil {
		return secret.Value{}, err
	}
	if before == nil || c.SectorIdentifierURI != before.SectorIdentifierURI || !slices.Equal(c.RedirectURIs, before.RedirectURIs) {
		if err := h.sector(ctx, c); err != nil {
			return secret.Value{}, err
		}
	}
	for _, alg := range c.SigningAlgs() {
		if err := h.signable(ctx, alg); err != nil {
			return secret.Value{}, fosite.ErrServerError.WithWrap(err)
		}
	}
	switch {
	case !c.HasSecret():
		c.Secrets = nil
	case len(c.Secrets) == 0:
		shown, hash := oauth.NewSecret(h.Secrets, c.ID)
		c.Secrets = []oauth.SecretHash{hash}
		return shown, nil
	}
	return secret.Value{}, nil
}

// signable makes sure that there is a key for alg. RSA keys are made when the first
// client needs one; whoever that is waits a second.
func (h *Handler) signable(ctx context.Context, alg jose.Alg) error {
	if _, err := h.Keys.Signer(alg); err == nil {
		return nil
	}
	if err := h.Keys.Renew(ctx); err != nil {
		return fmt.Errorf("making a key for %s: %w", string(alg), err)
	}
	_, err := h.Keys.Signer(alg)
	return err
}

// reload lets this replica know at once. The others hear of it, and failing that ask
// within seconds; so it is no failure of the registration.
func (h *Handler) reload(ctx context.Context) {
	if err := h.Registry.Reload(ctx); err != nil {
		h.Log.ErrorContext(ctx, "clients not renewed", "error", err)
	}
}

// read takes the document in.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, fosite.ErrInvalidRequest.WithHint("The content type must be application/json.")
	}
	media, params, err := mime.ParseMediaType(types[0])
	if charset, given := params["charset"]; err != nil || media != mediaType || given && !strings.EqualFold(charset, "utf-8") {
		return nil, fosite.ErrInvalidRequest.WithHint("The content type must be application/json.")
	}
	if _, err := form.Query(r, nil); err != nil { // tokens and secrets do not belong there
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return nil, metadata("The registration is longer than 64 kB.")
	}
	if err != nil {
		return nil, fosite.ErrInvalidRequest.WithHint("The body could not be read.").WithWrap(err)
	}
	return body, nil
}

var (
	errNoToken = errors.New("no access token")
	errToken   = errors.New("malformed access token")
)

// bearer reads the one access token of the Authorization header (RFC 6750 §2.1).
func bearer(r *http.Request) (secret.Value, error) {
	fields := r.Header.Values("Authorization")
	if len(fields) == 0 {
		return secret.Value{}, errNoToken
	}
	scheme, token, ok := strings.Cut(fields[0], " ")
	if len(fields) > 1 || !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > 512 || strings.ContainsFunc(token, outside) {
		return secret.Value{}, errToken
	}
	return secret.Of(token), nil
}

// outside is a character that no b64token has.
func outside(c rune) bool {
	return c <= ' ' || c > '~' || slices.Contains([]rune(`"\,;`), c)
}

// wrongToken refuses whoever comes without the token that lets them do this.
func wrongToken(client, reason string, cause error) error {
	return oauth.Refuse(respond.InvalidToken(cause), audit.RegisterRefused, client, reason, nil)
}

func event(kind audit.Kind, client string, now time.Time) audit.Event {
	return audit.Event{Kind: kind, At: now, Actor: audit.Actor("client:" + client), Client: client, Reason: "registration endpoint"}
}
