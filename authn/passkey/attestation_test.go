package passkey

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/metadata/providers/memory"
)

// known is metadata that knows one model.
func known(t *testing.T, aaguid [16]byte, root *x509.Certificate, status metadata.AuthenticatorStatus, opts ...memory.Option) metadata.Provider {
	t.Helper()
	m := metadata.Metadata{Parsed: metadata.Parsed{Entries: []metadata.Entry{{
		AaGUID:        aaguid,
		StatusReports: []metadata.StatusReport{{Status: status}},
		MetadataStatement: metadata.Statement{
			AaGUID:                      aaguid,
			AttestationTypes:            metadata.AuthenticatorAttestationTypes{metadata.BasicFull, metadata.BasicSurrogate},
			AttestationRootCertificates: []*x509.Certificate{root},
		},
	}}}}
	p, err := memory.New(append([]memory.Option{memory.WithMetadata(m.ToMap())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAttestationPolicy(t *testing.T) {
	model := [16]byte{0xa1, 0xb2}
	const (
		certified = metadata.FidoCertifiedL2
		level1    = metadata.FidoCertifiedL1
		revoked   = metadata.Revoked
	)
	for _, c := range []struct {
		name   string
		policy Policy
		status metadata.AuthenticatorStatus
		listed bool
		bend   func(*testing.T, *soft)
		want   error
	}{
		{name: "open-takes-none", policy: Open, status: certified, bend: func(_ *testing.T, s *soft) { s.format = "none" }},
		{name: "open-takes-a-model-unknown", policy: Open, status: certified, bend: func(t *testing.T, s *soft) { s.aaguid = [16]byte{9}; s.certify(t) }},
		{name: "verified", policy: Verified, status: level1},
		{name: "verified-synced", policy: Verified, status: level1, bend: func(_ *testing.T, s *soft) { s.flags |= be }},
		// The library would take it: metadata is skipped for this format.
		{name: "verified-none", policy: Verified, status: certified, bend: func(_ *testing.T, s *soft) { s.format = "none" }, want: ErrPolicy},
		{name: "verified-self-attested", policy: Verified, status: certified, bend: func(_ *testing.T, s *soft) { s.certKey = nil }, want: ErrPolicy},
		{name: "verified-other-root", policy: Verified, status: certified, bend: func(t *testing.T, s *soft) { s.certify(t) }, want: ErrRefused},
		{name: "verified-unknown-model", policy: Verified, status: certified, bend: func(t *testing.T, s *soft) { s.aaguid = [16]byte{9}; s.certify(t) }, want: ErrRefused},
		{name: "verified-zero-model", policy: Verified, status: certified, bend: func(t *testing.T, s *soft) { s.aaguid = [16]byte{}; s.certify(t) }, want: ErrRefused},
		{name: "verified-revoked", policy: Verified, status: revoked, want: ErrRefused},
		{name: "certified", policy: Certified, status: certified, listed: true},
		{name: "certified-not-listed", policy: Certified, status: certified, want: ErrPolicy},
		{name: "certified-level-1", policy: Certified, status: level1, listed: true, want: ErrPolicy},
		{name: "certified-synced", policy: Certified, status: certified, listed: true, bend: func(_ *testing.T, s *soft) { s.flags |= be }, want: ErrPolicy},
		{name: "certified-none", policy: Certified, status: certified, listed: true, bend: func(_ *testing.T, s *soft) { s.format = "none" }, want: ErrPolicy},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSoft(t, -7)
			s.aaguid = model
			root := s.certify(t)
			cfg := testConfig(testClock())
			cfg.Metadata = known(t, model, root, c.status)
			if c.listed {
				cfg.CertifiedAAGUIDs = [][16]byte{model}
			}
			r := newRelying(t, cfg)
			if c.bend != nil {
				c.bend(t, s)
			}
			options, cer, err := r.BeginRegistration(zhang, c.policy)
			if err != nil {
				t.Fatal(err)
			}
			cred, err := r.FinishRegistration(t.Context(), throughJSON(t, cer), reader(s.create(t, options)))
			if !errors.Is(err, c.want) {
				t.Fatalf("%v (%v), want %v", err, cause(err), c.want)
			}
			if c.want != nil {
				return
			}
			if cred.Policy != c.policy {
				t.Errorf("policy %q", cred.Policy)
			}

			// The model is reported broken afterwards: what was accepted for its
			// model's sake stops, what was accepted for nothing goes on.
			s.counter++
			cfg.Metadata = known(t, s.aaguid, root, revoked)
			later := newRelying(t, cfg)
			options, cer, err = later.BeginSignIn()
			if err != nil {
				t.Fatal(err)
			}
			_, err = later.FinishLogin(t.Context(), cer, reader(s.get(t, options)), stored(throughJSON(t, cred)))
			if wantLater := c.policy != Open; errors.Is(err, ErrRefused) != wantLater {
				t.Errorf("after the revocation: %v (%v)", err, cause(err))
			}
		})
	}
}

func TestPolicyNeedsMetadata(t *testing.T) {
	r := newRelying(t, testConfig(testClock()))
	for _, p := range []Policy{Verified, Certified, "", "lenient"} {
		if options, _, err := r.BeginRegistration(zhang, p); err == nil || options != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestHalfHeartedMetadata(t *testing.T) {
	s := newSoft(t, -7)
	root := s.certify(t)
	for name, opt := range map[string]memory.Option{
		"entry":   memory.WithValidateEntry(false),
		"zero":    memory.WithValidateEntryPermitZeroAAGUID(true),
		"anchors": memory.WithValidateTrustAnchor(false),
		"status":  memory.WithValidateStatus(false),
		"types":   memory.WithValidateAttestationTypes(false),
	} {
		cfg := testConfig(testClock())
		cfg.Metadata = known(t, s.aaguid, root, metadata.FidoCertifiedL2, opt)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
