package passkey

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"
)

// A Credential is a passkey as it is stored: one field, one column. ID is unique
// over all citizens, which is a unique index of storage's (SECURITY WA2). After
// every sign-in SignCount, CloneWarning, Flags and Disabled are written back.
type Credential struct {
	ID         []byte `json:"id"`
	RPID       string `json:"rp_id"`
	UserHandle []byte `json:"user_handle"`
	PublicKey  []byte `json:"public_key"` // COSE_Key
	Algorithm  int64  `json:"algorithm"`  // COSE, read from the key
	AAGUID     []byte `json:"aaguid"`     // a claim, unless the attestation was verified
	SignCount  uint32 `json:"sign_count"`
	// CloneWarning: the counter once went back. It stays.
	CloneWarning bool `json:"clone_warning,omitempty"`
	// Flags is the flags octet of the authenticator data (Level 3 §6.1), UV as it
	// was initialised. The methods below read it; there is no second truth.
	Flags      uint8    `json:"flags"`
	Transports []string `json:"transports,omitempty"`
	Attachment string   `json:"attachment,omitempty"` // platform, cross-platform, or not said
	// Discoverable is credProps.rk, when the browser said anything.
	Discoverable *bool `json:"discoverable,omitempty"`

	// Policy is the one it was accepted under, and is checked under ever after.
	Policy            Policy `json:"policy"`
	AttestationType   string `json:"attestation_type"`
	AttestationFormat string `json:"attestation_format"`
	// The registration as it came, for a later look with newer metadata.
	AttestationObject []byte `json:"attestation_object"`
	ClientDataJSON    []byte `json:"client_data_json"`
	ClientDataHash    []byte `json:"client_data_hash"`
	AuthenticatorData []byte `json:"authenticator_data,omitempty"`

	// Disabled credentials verify nothing.
	Disabled bool `json:"disabled,omitempty"`
}

// UserVerified reports whether the authenticator has ever verified its user.
func (c Credential) UserVerified() bool {
	return protocol.AuthenticatorFlags(c.Flags).HasUserVerified()
}

// BackupEligible reports whether the key may be copied between devices (BE): a
// synced passkey. It never changes.
func (c Credential) BackupEligible() bool {
	return protocol.AuthenticatorFlags(c.Flags).HasBackupEligible()
}

// BackupState reports whether it was copied when last seen (BS).
func (c Credential) BackupState() bool {
	return protocol.AuthenticatorFlags(c.Flags).HasBackupState()
}

// fromLibrary takes over what the library has just verified. The flags octet is
// only right now: through the library's JSON it is lost.
func fromLibrary(w *webauthn.Credential, rpID string, handle []byte, alg int64) Credential {
	return Credential{
		ID:                w.ID,
		RPID:              rpID,
		UserHandle:        handle,
		PublicKey:         w.PublicKey,
		Algorithm:         alg,
		AAGUID:            w.Authenticator.AAGUID,
		SignCount:         w.Authenticator.SignCount,
		CloneWarning:      w.Authenticator.CloneWarning,
		Flags:             uint8(w.Flags.ProtocolValue()),
		Transports:        knownTransports(w.Transport),
		Attachment:        string(w.Authenticator.Attachment),
		Discoverable:      w.Extensions.RK,
		AttestationType:   w.AttestationType,
		AttestationFormat: w.AttestationFormat,
		AttestationObject: w.Attestation.Object,
		ClientDataJSON:    w.Attestation.ClientDataJSON,
		ClientDataHash:    w.Attestation.ClientDataHash,
		AuthenticatorData: w.Attestation.AuthenticatorData,
	}
}

// toLibrary is the way back. The clone warning stays here: with it set, the
// library could not say whether this very signature earned one.
func (c Credential) toLibrary() webauthn.Credential {
	w := webauthn.Credential{
		ID:                c.ID,
		PublicKey:         c.PublicKey,
		AttestationType:   c.AttestationType,
		AttestationFormat: c.AttestationFormat,
		Flags:             webauthn.NewCredentialFlags(protocol.AuthenticatorFlags(c.Flags)),
		Authenticator: webauthn.Authenticator{
			AAGUID:     c.AAGUID,
			SignCount:  c.SignCount,
			Attachment: protocol.AuthenticatorAttachment(c.Attachment),
		},
		Attestation: webauthn.CredentialAttestation{
			ClientDataJSON:     c.ClientDataJSON,
			ClientDataHash:     c.ClientDataHash,
			AuthenticatorData:  c.AuthenticatorData,
			PublicKeyAlgorithm: c.Algorithm,
			Object:             c.AttestationObject,
		},
		Extensions: webauthn.CredentialExtensions{RK: c.Discoverable},
	}
	for _, t := range c.Transports {
		w.Transport = append(w.Transport, protocol.AuthenticatorTransport(t))
	}
	return w
}

func toLibrary(creds []Credential) webauthn.Credentials {
	w := make(webauthn.Credentials, len(creds))
	for i, c := range creds {
		w[i] = c.toLibrary()
	}
	return w
}

// knownTransports drops what the specification does not name (§5.8.4): the list is
// the browser's word, is stored, and goes back into pages.
func knownTransports(ts []protocol.AuthenticatorTransport) []string {
	known := []protocol.AuthenticatorTransport{protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal}
	var out []string
	for _, t := range known {
		if slices.Contains(ts, t) {
			out = append(out, string(t))
		}
	}
	return out
}

const (
	minRSA = 2048 // SECURITY §0: the floor; authenticators that do RSA do no more
	maxRSA = 4096 // a longer key would only make us work
)

// checkKey holds a public key to what was offered, by what it is and not only by
// what it calls itself, and returns its COSE algorithm.
func checkKey(cose []byte) (int64, error) {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return 0, fmt.Errorf("reading the public key: %w", err)
	}
	switch k := key.(type) {
	case webauthncose.EC2PublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgES256) && k.Curve == int64(webauthncose.P256) {
			return k.Algorithm, nil
		}
	case webauthncose.OKPPublicKeyData:
		if k.Algorithm == int64(webauthncose.AlgEdDSA) && k.Curve == int64(webauthncose.Ed25519) {
			return k.Algorithm, nil
		}
	case webauthncose.RSAPublicKeyData:
		n := new(big.Int).SetBytes(k.Modulus)
		e := new(big.Int).SetBytes(k.Exponent)
		if n.BitLen() < minRSA || n.BitLen() > maxRSA || n.Bit(0) == 0 {
			return 0, fmt.Errorf("an RSA key of %d bits", n.BitLen())
		}
		if e.Cmp(big.NewInt(3)) < 0 || e.BitLen() > 31 || e.Bit(0) == 0 {
			return 0, errors.New("an RSA key with a strange exponent")
		}
		if k.Algorithm == int64(webauthncose.AlgRS256) {
			return k.Algorithm, nil
		}
	}
	return 0, fmt.Errorf("a key of type %T with an algorithm that was not offered", key)
}

// sound says whether a stored credential may be used at all.
func (c Credential) sound(rpID string) error {
	switch {
	case c.Disabled:
		return refuse(ErrUnknown, "the credential is disabled")
	case c.RPID != rpID:
		return refuse(ErrUnknown, "the credential was made for another RP ID")
	case len(c.ID) == 0 || len(c.UserHandle) == 0 || len(c.PublicKey) == 0:
		return errors.New("passkey: the stored credential is incomplete")
	}
	alg, err := checkKey(c.PublicKey)
	if err != nil {
		return fmt.Errorf("passkey: the stored credential: %w", err)
	}
	if alg != c.Algorithm {
		return fmt.Errorf("passkey: the stored credential says algorithm %d, its key %d", c.Algorithm, alg)
	}
	if len(c.ClientDataHash) > 0 && len(c.ClientDataJSON) > 0 {
		if sum := sha256.Sum256(c.ClientDataJSON); !slices.Equal(sum[:], c.ClientDataHash) {
			return errors.New("passkey: the stored credential's client data and their hash differ")
		}
	}
	return nil
}
