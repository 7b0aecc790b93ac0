package main

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ecardid/audit"
	"ecardid/authn"
	"ecardid/authn/password"
	"ecardid/authn/recovery"
	"ecardid/authn/totp"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/idnumber"
	"ecardid/storage"
)

// demoFile is demo.json: what a person or a robot needs to try every path (DESIGN
// §5). It is also the demo's own memory of what it made up.
type demoFile struct {
	Note         string        `json:"note"`
	Issuer       string        `json:"issuer"`
	RelyingParty string        `json:"relying_party"`
	Liveness     string        `json:"liveness"`
	Operations   string        `json:"operations"`
	Config       string        `json:"config"`
	Citizens     []demoCitizen `json:"citizens"`
	Staff        []demoStaff   `json:"staff"`
	Clients      []demoClient  `json:"clients"`
}

type demoCitizen struct {
	Username string `json:"username"`
	Password string `json:"password,omitempty"`
	TOTP     string `json:"totp_secret,omitempty"` // base32, RFC 6238, six digits, thirty seconds
	Code     string `json:"activation_code,omitempty"`
	// Phone is a bound phone; zero for whoever has none.
	Phone demoPhone `json:"phone,omitzero"`
	Name  string    `json:"name"`
	Note  string    `json:"note"`
}

type demoStaff struct {
	Name       string   `json:"name"`
	Roles      []string `json:"roles"`
	Link       string   `json:"link"`
	Invitation string   `json:"invitation"`
	Note       string   `json:"note"`
}

// madeUp is a person of the demo. The numbers are well formed and nobody's.
type madeUp struct {
	name, id, phone, card, greeting, note string
	newcomer, hasPhone                    bool
}

func madeUpPeople() []madeUp {
	return []madeUp{
		{name: "王秀英", id: "310199196003151240", phone: "19900000001", card: "A10000012", greeting: "院子里的石榴树",
			note: "password and one-time code are set up; the first to try everything with"},
		{name: "李建国", id: "440199197506083335", phone: "19900000002", card: "B20000025", greeting: "每天走六千步",
			note: "the same, for whoever needs two people: nothing of the first one's may show here"},
		{name: "张小雨", id: "510199199811202465", phone: "19900000003", card: "C30000038", newcomer: true,
			note: "not activated yet: card number and activation code at the issuer's page for new citizens"},
		{name: "陈大明", id: "330199197003072137", phone: "19900000004", card: "D40000041", greeting: "码头边的老茶馆", hasPhone: true,
			note: "has a bound phone, which is about to be lost: report it at /lost or have staff do it"},
	}
}

// populate brings people and applications to where demo.json says they are, or
// makes them, and writes demo.json. Doing it again changes nothing.
func (e *env) populate(ctx context.Context, s *storage.Store, c *config.Config, dir string, at addresses) (demoFile, error) {
	before := readDemo(dir)
	d := demoFile{
		Note:   "Made up by `ecardid demo` for this machine. Everything in here is fictional and worth nothing elsewhere.",
		Issuer: c.Issuer, RelyingParty: at.relyingParty(), Liveness: at.liveness(), Operations: at.metrics(), Config: filepath.Join(dir, demoConfig),
	}
	hasher, err := password.New(password.Config{Pepper: s.Keys().Pepper(), Rand: e.rand})
	if err != nil {
		return demoFile{}, err
	}
	for _, p := range madeUpPeople() {
		one, err := e.ensureCitizen(ctx, s, hasher, p, before.citizen(p.card))
		if err != nil {
			return demoFile{}, fmt.Errorf("%s: %w", p.card, err)
		}
		d.Citizens = append(d.Citizens, one)
	}
	if d.Staff, err = e.ensureStaff(ctx, c, s, before.Staff); err != nil {
		return demoFile{}, err
	}
	if d.Clients, err = e.ensureClients(ctx, s, c, before, at); err != nil {
		return demoFile{}, err
	}
	b, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return demoFile{}, err
	}
	return d, writeNew(filepath.Join(dir, demoJSON), append(b, '\n'))
}

// readDemo is what an earlier start wrote; what cannot be read is made anew.
func readDemo(dir string) demoFile {
	var d demoFile
	b, err := os.ReadFile(filepath.Join(dir, demoJSON))
	if errors.Is(err, fs.ErrNotExist) || err != nil || json.Unmarshal(b, &d) != nil {
		return demoFile{}
	}
	return d
}

func (d demoFile) citizen(card string) demoCitizen {
	for _, c := range d.Citizens {
		if c.Username == card {
			return c
		}
	}
	return demoCitizen{}
}

// ensureCitizen leaves alone whoever is as demo.json says. Whoever's credentials
// nobody knows any more begins anew.
func (e *env) ensureCitizen(ctx context.Context, s *storage.Store, hasher *password.Hasher, p madeUp, known demoCitizen) (demoCitizen, error) {
	one := demoCitizen{Username: p.card, Name: p.name, Note: p.note}
	there, err := s.CitizenByAlias(ctx, authn.Alias{Kind: authn.AliasCard, Value: p.card})
	switch {
	case errors.Is(err, identity.ErrNotFound):
		if there.ID, err = e.importMadeUp(ctx, s, p); err != nil {
			return one, err
		}
	case err != nil:
		return one, err
	case p.newcomer && !there.Activated.IsZero():
		one.Note = "activated by whoever tried the demo, with credentials of their own"
		return one, nil
	case p.newcomer && known.Code != "" && e.clock.Now().Before(there.CodeExpires):
		one.Code = known.Code
		return one, nil
	case !p.newcomer && there.Password && known.Password != "":
		one.Password, one.TOTP, one.Phone = known.Password, known.TOTP, known.Phone
		if there.State != identity.CardNormal {
			one.Note = "the card is " + string(there.State) + "; " + p.note
		}
		return one, nil
	}
	if there.State != "" && there.State != identity.CardNormal {
		one.Note = "the card is " + string(there.State) + " and its credentials are not known"
		return one, nil
	}
	code, hash, err := e.activationCode(s, there.ID)
	if err != nil {
		return one, err
	}
	now := e.clock.Now()
	ev := e.event(audit.FactorsReset, "demo")
	ev.Citizen = there.ID
	if err := s.ResetFactors(ctx, there.ID, hash, now.Add(activationLife), ev); err != nil {
		return one, err
	}
	if p.newcomer {
		one.Code = code.Reveal()
		return one, nil
	}
	if err := e.comeIn(ctx, s, hasher, there.ID, hash, p.greeting, &one); err != nil || !p.hasPhone {
		return one, err
	}
	one.Phone, err = e.bindPhone(ctx, s, there.ID)
	return one, err
}

func (e *env) importMadeUp(ctx context.Context, s *storage.Store, p madeUp) (identity.ID, error) {
	n := storage.NewCitizen{ID: identity.IDFrom(e.rand), Name: p.name}
	var errs [3]error
	n.IDNumber, errs[0] = idnumber.ParseID(p.id, e.clock.Now())
	n.Phone, errs[1] = idnumber.ParsePhone(p.phone)
	n.Card, errs[2] = idnumber.ParseCard(p.card)
	if err := errors.Join(errs[:]...); err != nil {
		return identity.ID{}, err
	}
	return n.ID, s.ImportCitizens(ctx, []storage.NewCitizen{n}, e.event(audit.CitizenImported, "demo"))
}

// comeIn does what the citizen would do on the activation pages.
func (e *env) comeIn(ctx context.Context, s *storage.Store, hasher *password.Hasher, id identity.ID, code []byte, greeting string, one *demoCitizen) error {
	// A password people can type: four groups of the alphabet without look-alikes.
	text, err := recovery.NewActivation(e.rand)
	if err != nil {
		return err
	}
	one.Password = strings.ToLower(text.Reveal())
	encoded, err := hasher.Hash(ctx, one.Password)
	if err != nil {
		return err
	}
	ev := func(kind audit.Kind) audit.Event {
		ev := e.event(kind, "demo")
		ev.Citizen = id
		return ev
	}
	if err := s.Activate(ctx, id, code, encoded, greeting, ev(audit.CitizenActivated)); err != nil {
		return err
	}
	seed, err := totp.NewSeed(e.rand)
	if err != nil {
		return err
	}
	f := authn.TOTPFactor{ID: identity.IDFrom(e.rand), Citizen: id, Seed: seed.Reveal(), Algorithm: totp.RFC6238, Created: e.clock.Now()}
	if err := s.ProposeTOTP(ctx, f); err != nil {
		return err
	}
	one.TOTP = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(f.Seed)
	return s.ConfirmTOTP(ctx, id, f.ID, 0, identity.ID{}, nil, ev(audit.TOTPBound))
}

// codeHint is the code an authenticator app would show now.
func (e *env) codeHint(secret string) string {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return ""
	}
	seed, err := totp.SeedOf(raw)
	if err != nil {
		return ""
	}
	now := e.clock.Now()
	code, err := totp.Code(seed, totp.RFC6238, now)
	if err != nil {
		return ""
	}
	const period = 30
	return fmt.Sprintf("%s for the next %d seconds; then put the secret into an authenticator app", code, period-now.Unix()%period)
}

// demoOffice is one of each power, and a second administrator because a client is admitted
// by three people; one person with several browsers can try four eyes out.
func demoOffice() []console.Staff {
	return []console.Staff{
		{Name: "demo-admin", Roles: []console.Role{console.Administrator}},
		{Name: "demo-admin-2", Roles: []console.Role{console.Administrator}},
		{Name: "demo-security", Roles: []console.Role{console.SecurityOfficer}},
		{Name: "demo-counter", Roles: []console.Role{console.Registrar, console.DeviceOfficer}},
		{Name: "demo-auditor", Roles: []console.Role{console.Auditor}},
	}
}

// ensureStaff invites whom an earlier start has not.
func (e *env) ensureStaff(ctx context.Context, c *config.Config, s *storage.Store, known []demoStaff) ([]demoStaff, error) {
	var all []demoStaff
	for _, one := range demoOffice() {
		if i := slices.IndexFunc(known, func(k demoStaff) bool { return k.Name == one.Name }); i >= 0 {
			all = append(all, known[i])
			continue
		}
		one.ID, one.State, one.Version = identity.IDFrom(e.rand), console.StaffInvited, 1
		said := demoStaff{Name: one.Name, Note: "good for " + console.InvitationLife.String() + " from the first start"}
		for _, r := range one.Roles {
			said.Roles = append(said.Roles, string(r))
		}
		i, err := e.invite(ctx, c, s, one)
		switch {
		case err == nil:
			said.Invitation, said.Link = i.code.Reveal(), i.link
		case strings.Contains(err.Error(), "already"):
			said.Note = "was invited by an earlier start whose demo.json is gone"
		default:
			return nil, err
		}
		all = append(all, said)
	}
	return all, nil
}
