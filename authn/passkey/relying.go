package passkey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"ecardid/internal/clock"
)

// maxLife is how long an answer may take (SECURITY §0): the longest anybody has
// been seen looking for a security key.
const maxLife = 5 * time.Minute

// Config says who we are to an authenticator.
type Config struct {
	// RPID is the domain passkeys are bound to: that of the login host or a parent
	// of it, never an IP address. Changing it makes every passkey useless.
	RPID string
	// Origins are the exact origins of our pages, with port where there is one.
	Origins []string
	// AppOrigins are those of our own Android apps (android:apk-key-hash:…).
	AppOrigins []string
	// Name is what the citizen sees in the browser's dialogue.
	Name string
	// Clock tells when a ceremony has expired.
	Clock clock.Clock
	// Life is how long an answer may take; zero means five minutes, which is also
	// the most.
	Life time.Duration
	// Metadata is the FIDO metadata service, from a MetadataFile. Without it the
	// policies Verified and Certified are refused.
	Metadata metadata.Provider
	// CertifiedAAGUIDs are the models that Certified accepts.
	CertifiedAAGUIDs [][16]byte
	// CertifiedStatuses are the statuses (FIDO_CERTIFIED_L2 …), one of which such a
	// model must have now; none named means FIDO level 2 and above.
	CertifiedStatuses []string
}

// Relying is the relying party: us. It is safe for concurrent use.
type Relying struct {
	cfg      Config
	statuses []metadata.AuthenticatorStatus
	// plain leaves attestation to our own judgement. trusting also asks the
	// metadata service, at registration and at every sign-in; it is nil without one.
	plain, trusting *webauthn.WebAuthn
}

// New checks the configuration whole.
func New(cfg Config) (*Relying, error) {
	if cfg.Clock == nil {
		return nil, errors.New("passkey: a clock is needed")
	}
	if cfg.Name == "" {
		return nil, errors.New("passkey: a name for the dialogue is needed")
	}
	if cfg.Life == 0 {
		cfg.Life = maxLife
	}
	if cfg.Life < time.Second || cfg.Life > maxLife {
		return nil, fmt.Errorf("passkey: a ceremony lives between a second and %v, not %v", maxLife, cfg.Life)
	}
	if err := checkDomain(cfg.RPID); err != nil {
		return nil, fmt.Errorf("passkey: RP ID %q: %w", cfg.RPID, err)
	}
	if len(cfg.Origins) == 0 {
		return nil, errors.New("passkey: at least one origin is needed")
	}
	for _, o := range cfg.Origins {
		if err := checkOrigin(o, cfg.RPID); err != nil {
			return nil, fmt.Errorf("passkey: origin %q: %w", o, err)
		}
	}
	if len(cfg.CertifiedStatuses) == 0 { // to the library, none would mean any
		cfg.CertifiedStatuses = []string{
			string(metadata.FidoCertifiedL2), string(metadata.FidoCertifiedL2plus),
			string(metadata.FidoCertifiedL3), string(metadata.FidoCertifiedL3plus),
		}
	}
	r := &Relying{cfg: cfg}
	for _, s := range cfg.CertifiedStatuses {
		r.statuses = append(r.statuses, metadata.AuthenticatorStatus(s))
	}
	var err error
	if r.plain, err = webauthn.New(r.library(nil)); err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	if cfg.Metadata == nil {
		return r, nil
	}
	if err := checkProvider(cfg.Metadata); err != nil {
		return nil, fmt.Errorf("passkey: metadata: %w", err)
	}
	if r.trusting, err = webauthn.New(r.library(cfg.Metadata)); err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return r, nil
}

// library lists what we set in the library and therefore override (SECURITY G10).
// What is not here is strict by its zero value: no cross-origin frames, no
// unrequested extension outputs, DER signatures only, attested Android keys from
// a trusted environment only.
func (r *Relying) library(mds metadata.Provider) *webauthn.Config {
	enforced := webauthn.TimeoutConfig{Enforce: true, Timeout: r.cfg.Life, TimeoutUVD: r.cfg.Life}
	return &webauthn.Config{
		RPID:            r.cfg.RPID,
		RPDisplayName:   r.cfg.Name,
		RPOrigins:       r.cfg.Origins,
		RPOpaqueOrigins: r.cfg.AppOrigins,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey:        protocol.ResidentKeyRequirementRequired,
			RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification:   protocol.VerificationRequired,
		},
		AttestationPreference: protocol.PreferNoAttestation,
		Timeouts:              webauthn.TimeoutsConfig{Login: enforced, Registration: enforced},
		MDS:                   mds,
	}
}

// under returns the library as a credential accepted under p is to be checked.
func (r *Relying) under(p Policy) (*webauthn.WebAuthn, error) {
	switch p {
	case Open:
		return r.plain, nil
	case Verified, Certified:
		if r.trusting == nil {
			return nil, fmt.Errorf("passkey: policy %q needs the metadata service, which is not configured", p)
		}
		return r.trusting, nil
	}
	return nil, fmt.Errorf("passkey: unknown policy %q", p)
}

func checkDomain(id string) error {
	switch {
	case id == "":
		return errors.New("empty")
	case net.ParseIP(strings.Trim(id, "[]")) != nil:
		return errors.New("an IP address cannot be one")
	case id != strings.ToLower(id):
		return errors.New("write it in lower case")
	case strings.HasSuffix(id, ".") || strings.ContainsAny(id, ":/@?# "):
		return errors.New("write the domain alone")
	}
	return protocol.ValidateRPID(id)
}

// checkOrigin wants an origin as a browser writes it, on the RP ID's domain.
func checkOrigin(o, rpID string) error {
	u, err := url.Parse(o)
	if err != nil {
		return err
	}
	host := u.Hostname()
	switch {
	case u.Scheme+"://"+u.Host != o || o != strings.ToLower(o):
		return errors.New("write scheme, host and port alone, in lower case")
	case host != rpID && !strings.HasSuffix(host, "."+rpID):
		return fmt.Errorf("not on %s", rpID)
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost")):
		return nil // browsers call it a secure context
	}
	return errors.New("https is needed")
}

// checkProvider refuses a metadata provider that leaves anything out: with one
// check off, "verified" would be a word.
func checkProvider(p metadata.Provider) error {
	ctx := context.Background()
	switch {
	case !p.GetValidateEntry(ctx), p.GetValidateEntryPermitZeroAAGUID(ctx):
		return errors.New("unknown models must be refused")
	case !p.GetValidateTrustAnchor(ctx):
		return errors.New("trust anchors must be checked")
	case !p.GetValidateStatus(ctx):
		return errors.New("statuses must be checked")
	case !p.GetValidateAttestationTypes(ctx):
		return errors.New("attestation types must be checked")
	}
	return nil
}
