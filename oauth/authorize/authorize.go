package authorize

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ory/fosite"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/dpop"
	"ecardid/oauth/form"
	"ecardid/oauth/framework"
	"ecardid/oauth/issue"
	"ecardid/oauth/rar"
	"ecardid/oauth/respond"
)

// Paths of the two pages.
const (
	Path        = "/authorize"
	ConsentPath = "/consent"
)

// Store is what this room needs from storage; the code grant issues the code.
type Store interface {
	oauth.Requests
	oauth.Consents
	oauth.Journal
	oauth.Replay
}

// Objects reads request objects (RFC 9101).
type Objects interface {
	// Read returns the known parameters of a request object that this client signed.
	Read(ctx context.Context, client *oauth.Client, object string, known form.Known) (url.Values, error)
}

// Lives are how long what is granted lasts.
type Lives struct {
	Absolute time.Duration // of a family of tokens
	Consent  time.Duration // zero: until withdrawn
}

// A Handler serves both pages.
type Handler struct {
	Provider  *fosite.Fosite
	Registry  framework.Registry
	Store     Store
	Logins    oauth.Logins
	Issuer    *issue.Issuer
	Handles   issue.Handles
	Forms     oauth.Keyed // tokens in the consent form
	Catalogue *catalogue.Catalogue
	Details   rar.Types // that authorization_details may be of
	Modes     respond.Modes
	Objects   Objects
	Clients   Clients
	Devices   Devices // nil: there is no device grant
	Nonces    dpop.Nonces
	Floor     identity.Level // of every login
	Lives     Lives
	Uses      *oauth.Meter // nil: nothing is counted
	Clock     clock.Clock
	Log       *slog.Logger
}

// ServeHTTP serves /authorize.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var values url.Values
	var err error
	switch r.Method {
	case http.MethodGet:
		values, err = form.Query(r, known())
	case http.MethodPost:
		values, err = form.Post(w, r, known())
	default:
		h.Modes.Method(w, http.MethodGet, http.MethodPost)
		return
	}
	if err != nil {
		h.fail(w, r, nil, err)
		return
	}
	if ours(values.Get("request_uri")) {
		if r.Method == http.MethodPost {
			// Again: the browser has to come by itself to bring its cookies.
			handle, _ := strings.CutPrefix(values.Get("request_uri"), handlePrefix)
			redirect(w, back(Path, values.Get("client_id"), handle))
			return
		}
		h.resume(w, r)
		return
	}
	h.begin(w, r, values)
}

// begin takes a request with its parameters.
func (h *Handler) begin(w http.ResponseWriter, r *http.Request, values url.Values) {
	ctx := r.Context()
	c, err := h.asker(ctx, values.Get("client_id"))
	if err != nil {
		h.fail(w, r, nil, err)
		return
	}
	values, signed, err := h.unpack(ctx, values, c)
	if err != nil {
		h.fail(w, r, nil, err)
		return
	}
	req, err := open(values, c, h.Clock.Now())
	if err != nil {
		h.fail(w, r, nil, err)
		return
	}
	if err := h.validate(ctx, req, arrival{signed: signed}); err != nil {
		h.fail(w, r, req.ar, err)
		return
	}
	if r.Method == http.MethodPost {
		// It came from another site, so without the cookies that say who this is
		// (SameSite=Lax). They are there again when the browser comes by itself.
		if err := h.keep(ctx, req, kindAuthorize, nil, firstUse); err != nil {
			h.fail(w, r, req.ar, err)
			return
		}
		redirect(w, back(Path, c.ID, req.handle))
		return
	}
	login, err := h.current(r)
	if err != nil {
		h.fail(w, r, req.ar, err)
		return
	}
	h.proceed(w, r, req, login)
}

// resume takes a stored request up again.
func (h *Handler) resume(w http.ResponseWriter, r *http.Request) {
	req, login, ar, err := h.load(r)
	if err != nil {
		h.fail(w, r, ar, err)
		return
	}
	if req.claimed() && r.URL.Query().Get(oauth.Cancelled) == "cancelled" {
		// The request is of this browser, so it is the citizen who gave up.
		if req.device != nil {
			h.decline(w, r, req, identity.Login{}, audit.ByCitizen)
			return
		}
		h.drop(r.Context(), req)
		h.fail(w, r, ar, fosite.ErrAccessDenied.WithHint("The citizen did not sign in."))
		return
	}
	h.proceed(w, r, req, login)
}

// proceed decides what is next: the answer, a login, the consent page, an error. A nil
// login is none.
func (h *Handler) proceed(w http.ResponseWriter, r *http.Request, req *request, login *identity.Login) {
	now := h.Clock.Now()
	stand := h.weigh(req, login, now)
	if (stand == met || stand == outsider) && !req.claimed() && req.fresh() {
		stand = stale // whatever was proved, was proved before this browser brought the request
	}
	consent := false
	if stand == met && h.cools(req, *login, now) {
		h.wait(w, r, req, *login, now)
		return
	}
	if stand == met {
		if consent = req.asks(); !consent {
			err := h.answer(w, r, req, *login, false, now)
			switch {
			case err == nil:
				return
			case errors.Is(err, identity.ErrConsent):
				consent = true
			case errors.Is(err, identity.ErrEnded):
				stand = nobody // it ended between the reading and the writing
			default:
				h.fail(w, r, req.ar, issuing(err))
				return
			}
		}
	}
	if stand == outsider && !req.prompt.none {
		h.fail(w, r, req.ar, &fault{oauth.FaultTesting, http.StatusForbidden, errOutsider})
		return
	}
	if req.prompt.none {
		h.drop(r.Context(), req)
		// It is for the application to know, whoever that is (OpenID Connect Core §3.1.2.6).
		h.Provider.WriteAuthorizeError(respond.WithRequest(r), w, req.ar, silent(stand))
		return
	}
	if stand == stranger {
		again := req.need
		again.Since = req.created
		if req.claimed() && login.Meets(again, now) {
			// Somebody did sign in for this request, and it is not who was meant.
			h.drop(r.Context(), req)
			h.fail(w, r, req.ar, fosite.ErrLoginRequired.WithHint("Somebody else has signed in."))
			return
		}
		req.need = again
	}
	if err := h.hold(w, r, req); err != nil {
		h.fail(w, r, req.ar, err)
		return
	}
	req.raise(h.Catalogue, now) // this browser has it from now on
	if consent {
		redirect(w, back(ConsentPath, req.client.ID, req.handle))
		return
	}
	respond.NoStore(w.Header())
	r = r.WithContext(oauth.WithUILocales(r.Context(), req.locales))
	h.Logins.Raise(w, r, req.need, back(Path, req.client.ID, req.handle))
}

// current is the browser's login, nil when there is none.
func (h *Handler) current(r *http.Request) (*identity.Login, error) {
	login, err := h.Logins.Current(r)
	switch {
	case errors.Is(err, identity.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	return &login, nil
}

func (h *Handler) weigh(req *request, login *identity.Login, now time.Time) standing {
	subject := ""
	if login != nil && req.wanted != nil {
		subject = h.Issuer.Subjects.Subject(req.client.Client, login.Citizen)
	}
	stand := weigh(login, req.need, subject, req.wanted, now)
	if stand == met && !req.client.Serves(login.Citizen) {
		return outsider
	}
	return stand
}

// silent is what prompt=none is told (OpenID Connect Core §3.1.2.6). Who is
// logged in cannot be read off it (SECURITY OI2).
func silent(s standing) error {
	switch s {
	case met:
		return fosite.ErrConsentRequired
	case low:
		return fosite.ErrInteractionRequired
	}
	return fosite.ErrLoginRequired
}

// fresh reports whether the citizen has to prove anew who they are.
func (req *request) fresh() bool {
	return req.prompt.login || req.maxAge != nil && *req.maxAge == 0 || req.details.Fresh() && !req.prompt.none
}

// asks reports whether consent is asked for whatever was agreed to before: the
// application wants it so, it cannot be told from another that listens at the same
// place (SECURITY CN1, RFC 8252 §8.6), it is a device, which may be anybody's (RFC 8628
// §5.4), or there are details, which are agreed to once.
func (req *request) asks() bool {
	return req.prompt.consent || req.device != nil || req.unverifiable() || !req.details.IsZero()
}

func (req *request) unverifiable() bool {
	return req.client.Public() && !strings.HasPrefix(req.client.Redirect, "https://")
}

// answer issues the code and redirects. When it returns an error nothing was
// written and nothing issued.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, req *request, login identity.Login, consent bool, now time.Time) error {
	if req.device == nil {
		if err := h.Modes.Ready(req.ar); err != nil {
			return err
		}
	}
	n := oauth.NewCode{
		Grant:      h.grant(req, login, now),
		Challenge:  req.challenge,
		CodeJKT:    req.jkt,
		Consent:    consent,
		FirstParty: req.client.FirstParty && !req.asks(),
		Agree:      req.agree,
		Terms:      h.Catalogue.Terms(req.agree),
		Epoch:      req.client.Epoch,
	}
	if req.stored != nil {
		n.Interaction = req.stored.Handle
	}
	if consent {
		if h.Lives.Consent > 0 {
			n.ConsentExpires = now.Add(h.Lives.Consent)
		}
		var err error
		if n.Event, err = h.given(req, n.Grant); err != nil {
			return err
		}
	}
	if req.device != nil {
		if err := h.connect(w, r, req, n); err != nil {
			return err
		}
		h.Uses.Count(req.client.ID, oauth.CodeIssued)
		return nil
	}
	ctx := context.WithoutCancel(r.Context()) // once begun, the statement and its answer belong together
	resp, err := h.Provider.NewAuthorizeResponse(ctx, req.ar, &framework.Session{New: &n})
	if err != nil {
		return err
	}
	h.Uses.Count(req.client.ID, oauth.CodeIssued)
	h.Modes.WriteAuthorizeResponse(respond.WithRequest(r), w, req.ar, resp)
	return nil
}

// issuing turns what IssueCode says into something to answer.
func issuing(err error) error {
	if errors.Is(err, identity.ErrSpent) {
		return &fault{oauth.FaultAnswered, http.StatusBadRequest, errAnswered}
	}
	if errors.As(err, new(*fosite.RFC6749Error)) {
		return err
	}
	return fosite.ErrServerError.WithWrap(err)
}

func redirect(w http.ResponseWriter, to string) {
	respond.NoStore(w.Header())
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}
