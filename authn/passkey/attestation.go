package passkey

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"
)

// A Policy says what a new passkey must prove about the thing it lives in. The
// flow chooses it; the browser does not hear of it but through what is asked.
type Policy string

// The policies. The zero Policy accepts nothing.
const (
	// Open takes any authenticator, for citizens. An AAGUID is a hint then.
	Open Policy = "open"
	// Verified wants a model the metadata service knows, proved by its maker's
	// certificate and not reported broken.
	Verified Policy = "verified"
	// Certified wants, on top, a model on our list with a FIDO certification, and
	// a key that cannot be copied: for staff.
	Certified Policy = "certified"
)

// conveyance is how much the browser is asked to tell (Level 3 §5.4.7).
func (p Policy) conveyance() protocol.ConveyancePreference {
	if p == Open {
		return protocol.PreferNoAttestation
	}
	return protocol.PreferDirectAttestation
}

// accept decides about a registration that the library has verified. It asks the
// metadata itself once more, because the library skips it for format "none" and
// checks no certificate where there is none to check.
func (r *Relying) accept(ctx context.Context, p Policy, c Credential, now time.Time) error {
	if c.Discoverable != nil && !*c.Discoverable {
		return errors.New("the passkey cannot be used without a user name")
	}
	switch p {
	case Open:
		return nil
	case Verified, Certified:
	default:
		return fmt.Errorf("unknown policy %q", p)
	}
	if r.cfg.Metadata == nil {
		return errors.New("no metadata service")
	}
	if c.AttestationFormat == string(protocol.AttestationFormatNone) || c.AttestationFormat == "" {
		return errors.New("no attestation")
	}
	if t := metadata.AuthenticatorAttestationType(c.AttestationType); t != metadata.BasicFull && t != metadata.AttCA {
		return fmt.Errorf("attestation of type %q proves no model", c.AttestationType)
	}
	var aaguid [16]byte
	if copy(aaguid[:], c.AAGUID) != len(aaguid) || aaguid == ([16]byte{}) {
		return errors.New("no AAGUID")
	}
	entry, err := r.cfg.Metadata.GetEntry(ctx, aaguid)
	if err != nil {
		return fmt.Errorf("asking the metadata: %w", err)
	}
	if entry == nil || len(entry.MetadataStatement.AttestationRootCertificates) == 0 {
		return errors.New("a model without a trust anchor")
	}
	if err := r.cfg.Metadata.ValidateStatusReports(ctx, entry.StatusReports); err != nil {
		return fmt.Errorf("the model's status: %w", err)
	}
	if p == Verified {
		return nil
	}
	if !slices.Contains(r.cfg.CertifiedAAGUIDs, aaguid) {
		return errors.New("the model is not on the list")
	}
	if c.BackupEligible() {
		return errors.New("the key may be copied")
	}
	if err := metadata.ValidateStatusReportsAt(entry.StatusReports, r.statuses, nil, now); err != nil {
		return fmt.Errorf("the model's certification: %w", err)
	}
	return nil
}
