package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/passkey"
	"ecardid/authn/phone/attest"
	"ecardid/authn/totp"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/internal/idnumber"
	"ecardid/internal/pgtest"
	"ecardid/internal/seal"
	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/catalogue"
	"ecardid/oauth/keyring"
	"ecardid/server"
	"ecardid/storage"
	"ecardid/templates"
)

// The databases.
const (
	sqlite   = "sqlite"
	postgres = "postgres"
)

// crowd is how many citizens there are, each signed in once: enough that requests
// side by side are not about the same row.
const crowd = 64

const (
	issuer   = "https://login.ecard.example"
	callback = "https://pension.example/callback"
	verifier = "a-code-verifier-of-forty-three-characters-or-more"
	word     = "correct horse battery staple"
)

// Resources of the catalogue.
const (
	resourceInsurance = "urn:ecardid:resource:insurance"
	resourcePension   = "urn:ecardid:resource:pension"
)

// What a grant is asked for, by the form of its access token.
const (
	scopeJWT    = "openid offline_access pension.read"
	scopeOpaque = "openid profile offline_access insurance.pay"
	scopeBoth   = "openid pension.read insurance.read" // for two resources
)

// A house is a whole server over a database of its own, with people in it.
type house struct {
	dsn     string
	store   *storage.Store
	server  *server.Server
	clock   clock.Clock
	people  []person
	origin  string // the server's issuer
	pension string // Authorization of the relying party
	clinic  string // Authorization of a resource server that also has tokens of its own
	ask     map[string]string

	bank   institution // a relying party of profile fapi2
	clerks institution // a resource server with a key that goes on to another
}

// A person is a citizen who is signed in.
type person struct {
	id    identity.ID
	card  string
	seed  totp.Seed
	login string // cookie
}

// database makes an empty one with the production's promises: fsync on.
func database(tb testing.TB, kind string) string {
	tb.Helper()
	if kind == postgres {
		return pgtest.Migrated(tb, "bench", storage.Migrate)
	}
	dsn := "sqlite:" + filepath.Join(tb.TempDir(), "bench.db")
	if err := storage.Migrate(tb.Context(), dsn); err != nil {
		tb.Fatal(err)
	}
	return dsn
}

// openHouse builds a house in this process. A nil hasher is the real one.
func openHouse(tb testing.TB, kind string, clk clock.Clock, hasher authn.Hasher) *house {
	tb.Helper()
	h := settle(tb, kind, clk)
	var err error
	if h.server, err = newServer(tb.Context(), h.store, issuer, clk, hasher); err != nil {
		tb.Fatal(err)
	}
	return h
}

// settle makes a database with people and clients, and no server yet.
func settle(tb testing.TB, kind string, clk clock.Clock) *house {
	tb.Helper()
	h := &house{dsn: database(tb, kind), clock: clk, origin: issuer, ask: map[string]string{}}
	store, err := openStore(tb.Context(), h.dsn, clk, storage.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	h.store = store
	tb.Cleanup(store.Close)
	if err := h.move(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	challenge := challengeOf(verifier)
	for _, scope := range []string{scopeJWT, scopeOpaque, scopeBoth} {
		h.ask[scope] = "/authorize?" + url.Values{
			"client_id": {"pension"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope},
			"state": {"a-state"}, "nonce": {"a-nonce"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
		}.Encode()
	}
	return h
}

func openStore(ctx context.Context, dsn string, clk clock.Clock, o storage.Options) (*storage.Store, error) {
	store, err := storage.Open(ctx, dsn, o)
	if err != nil {
		return nil, err
	}
	kek, err := seal.ParseKEK([]byte(strings.Repeat("0123456789abcdef", 4)), "bench")
	if err == nil {
		err = store.Unlock(ctx, kek, clk.Now())
	}
	if err != nil {
		store.Close()
		return nil, err
	}
	return store, nil
}

// newServer is the server as `serve` would build it: JSON logs at their usual level,
// going nowhere.
func newServer(ctx context.Context, store *storage.Store, issuer string, clk clock.Clock, hasher authn.Hasher) (*server.Server, error) {
	cat, err := catalogue.Default()
	if err != nil {
		return nil, err
	}
	attested, err := attest.NewSet(attest.Unattested{})
	if err != nil {
		return nil, err
	}
	return server.New(ctx, server.Ingredients{
		Issuer: issuer, Store: store, Catalogue: cat, Hasher: hasher,
		Pages: templates.Config{Authority: "示例省人力资源和社会保障厅", Domain: "login.ecard.example"},
		Login: authn.Config{}, Passkeys: passkey.Config{}, Attest: attested, KeyPolicy: keyring.DefaultPolicy(),
		Clock: clk, Rand: rand.Reader, Log: slog.New(slog.NewJSONHandler(nowhere{}, nil)), Metrics: server.NewMetrics(),
	})
}

// nowhere is not io.Discard: slog would notice and not even format.
type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// move people and clients in.
func (h *house) move(ctx context.Context) error {
	now := h.clock.Now()
	var newcomers []storage.NewCitizen
	for i := range crowd {
		p := person{id: identity.NewID(), card: fmt.Sprintf("T%08d", 40000000+i)}
		id, err1 := idnumber.ParseID(idNumber(i), now)
		phone, err2 := idnumber.ParsePhone(fmt.Sprintf("138%08d", 10000000+i))
		card, err3 := idnumber.ParseCard(p.card)
		seed, err4 := totp.NewSeed(rand.Reader)
		for _, err := range []error{err1, err2, err3, err4} {
			if err != nil {
				return err
			}
		}
		p.seed = seed
		h.people = append(h.people, p)
		newcomers = append(newcomers, storage.NewCitizen{
			ID: p.id, Name: "王小英", IDNumber: id, Phone: phone, Card: card, Code: p.id[:], Expires: now.Add(time.Hour),
		})
	}
	if err := h.store.ImportCitizens(ctx, newcomers, h.event(audit.CitizenImported)); err != nil {
		return err
	}
	for i := range h.people {
		if err := h.bring(ctx, &h.people[i]); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		at       *string
		metadata string
	}{
		{&h.pension, `{"client_id":"pension","client_name":"Pension office","redirect_uris":["` + callback + `"],
			"grant_types":["authorization_code","refresh_token"],"scope":"` + scopeOpaque + ` pension.read insurance.read"}`},
		{&h.clinic, `{"client_id":"clinic","client_name":"Clinic","grant_types":["client_credentials"],"scope":"card.status",
			"resources":["` + resourceInsurance + `","` + resourcePension + `"]}`},
	} {
		if err := h.admit(ctx, c.metadata, c.at); err != nil {
			return err
		}
	}
	var err error
	if h.bank, err = h.engage(ctx, "bank", `"profile":"fapi2","redirect_uris":["`+callback+`"],"response_modes":["query","jwt"],
		"grant_types":["authorization_code","refresh_token"],"scope":"`+scopeJWT+`"`); err != nil {
		return err
	}
	if h.clerks, err = h.engage(ctx, "clerks", `"grant_types":["client_credentials","`+oauth.GrantExchange+`"],"scope":"card.status insurance.read",
		"resources":["`+resourcePension+`","`+resourceInsurance+`"],"exchange_resources":["`+resourceInsurance+`"]`); err != nil {
		return err
	}
	for i := range h.people {
		if err := h.agree(ctx, h.people[i], "pension", scopeOpaque+" pension.read insurance.read"); err != nil {
			return err
		}
		if err := h.agree(ctx, h.people[i], "bank", scopeJWT); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) event(k audit.Kind) audit.Event {
	return audit.Event{Kind: k, At: h.clock.Now(), Actor: audit.ByOperator}
}

// bring activates a citizen and signs them in with everything that counts.
func (h *house) bring(ctx context.Context, p *person) error {
	now := h.clock.Now()
	if err := h.store.Activate(ctx, p.id, p.id[:], word, "院子里的桂花", h.event(audit.CitizenActivated)); err != nil {
		return err
	}
	f := authn.TOTPFactor{ID: identity.NewID(), Citizen: p.id, Seed: p.seed.Reveal(), Algorithm: totp.RFC6238, Created: now}
	if err := h.store.ProposeTOTP(ctx, f); err != nil {
		return err
	}
	if err := h.store.ConfirmTOTP(ctx, p.id, f.ID, 1, identity.ID{}, nil, h.event(audit.TOTPBound)); err != nil {
		return err
	}
	// A passkey needs a ceremony; the device it would live on is enough here.
	d := authn.Device{ID: identity.NewID(), Citizen: p.id, Kind: identity.DeviceBrowser, Name: "bench", State: identity.DeviceActive,
		Cookie: secret.New(32).Hash(), Created: now, LastUsed: now, Expires: now.Add(24 * time.Hour)}
	if err := h.store.TrustBrowser(ctx, d, nil, h.event(audit.DeviceBound)); err != nil {
		return err
	}
	acc, err := h.store.Account(ctx, p.id)
	if err != nil {
		return err
	}
	flow := authn.Flow{ID: identity.NewID(), Browser: p.id[:], Citizen: p.id, Epoch: acc.Epoch, Created: now, Expires: now.Add(time.Minute)}
	if err := h.store.BeginFlow(ctx, flow); err != nil {
		return err
	}
	if flow, err = h.store.Flow(ctx, flow.ID, flow.Browser, now); err != nil {
		return err
	}
	token := secret.New(32)
	p.login = "__Host-login=" + token.Reveal() + "; __Host-browser=" + secret.New(32).Reveal()
	return h.store.FinishFlow(ctx, flow, authn.NewLogin{
		Token: token.Hash(), Agent: "bench", Idle: time.Hour,
		Login: identity.Login{ID: identity.NewID(), Citizen: p.id, Started: now, Seen: now, Ends: now.Add(24 * time.Hour), Locale: "zh-CN",
			Proofs: []identity.Proof{
				{Factor: identity.FactorPassword, At: now}, {Factor: identity.FactorTOTP, At: now},
				{Factor: identity.FactorPasskey, At: now, Device: d.ID, Verified: true, Hardware: true},
			}},
	}, identity.ID{}, h.event(audit.LoginStarted))
}

// admit registers a client and, unless auth is nil, gives it a secret.
func (h *house) admit(ctx context.Context, metadata string, auth *string) error {
	client, err := oauth.ValidateClient([]byte(metadata))
	if err != nil {
		return err
	}
	if auth == nil {
		return h.store.ApplyClient(ctx, client, h.event(audit.ClientApplied))
	}
	key, err := h.store.Keys().MAC(seal.ClientSecret, []byte("derive"), []byte(server.ClientSecrets))
	if err != nil {
		return err
	}
	keyed, err := oauth.NewKeyed(key)
	if err != nil {
		return err
	}
	value, hash := oauth.NewSecret(keyed, client.ID)
	client.Secrets = []oauth.SecretHash{hash}
	*auth = "Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+url.QueryEscape(value.Reveal())))
	return h.store.ApplyClient(ctx, client, h.event(audit.ClientApplied))
}

// agree stores consent to everything a relying party will ask for.
func (h *house) agree(ctx context.Context, p person, client, all string) error {
	now := h.clock.Now()
	_, token, _ := strings.Cut(p.login, "=")
	token, _, _ = strings.Cut(token, ";")
	login, err := h.store.Login(ctx, secret.Of(token).Hash(), now)
	if err != nil {
		return fmt.Errorf("reading a login: %w", err)
	}
	cat, err := catalogue.Default()
	if err != nil {
		return err
	}
	scope := strings.Fields(all)
	return h.store.IssueCode(ctx, oauth.NewCode{
		Terms: cat.Terms(scope),
		Grant: oauth.Grant{ID: identity.NewID(), ClientID: client, Citizen: p.id, Login: login.ID,
			Scope: scope, Resource: []string{issuer}, RedirectURI: callback,
			AuthTime: now, Created: now, Expires: now.Add(time.Hour)},
		Code: secret.New(32).Hash(), CodeExpires: now.Add(time.Minute), Consent: true, Event: h.event(audit.ConsentGiven),
	})
}

// idNumber makes the i-th number of people born on one day in 1949.
func idNumber(i int) string {
	number := "11010519491231" + fmt.Sprintf("%03d", i)
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += w * int(number[i]-'0')
	}
	return number + string("10X98765432"[sum%11])
}

// equal stands where the hash would be: what sign-in costs beside it.
type equal struct{}

var _ authn.Hasher = equal{}

func (equal) Hash(_ context.Context, password string) (string, error) { return password, nil }

func (equal) Verify(_ context.Context, encoded, password string) (ok, rehash bool, err error) {
	return encoded == password, false, nil
}

func (equal) VerifyNothing(context.Context, string) error { return nil }
