package config

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"ecardid/authn/password"
	"ecardid/authn/phone/attest"
	"ecardid/authn/risk"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/internal/seal"
	"ecardid/oauth/catalogue"
)

// A Config is the whole configuration: its fields are the keys of the file, in the
// file's order. What Load made of them is in Made.
type Config struct {
	// Issuer is who we are to everybody: https, host, perhaps a port, nothing else.
	// It can never be changed: tokens, passkeys and subject identifiers depend on it.
	Issuer string `yaml:"issuer"`
	// Database is postgres://… or sqlite:PATH, or {file: …} or {env: …} to read that
	// from where passwords are kept. There is no password in this file.
	Database Secret `yaml:"database"`
	// KEK is the key-encryption key: 32 bytes as hex or base64.
	KEK Secret `yaml:"kek"`

	// Listen is the address of the public listener.
	Listen string `yaml:"listen"`
	// TLS ends here when it is given.
	TLS TLS `yaml:"tls"`
	// BehindProxy lists the addresses of the proxies that end TLS for us and whose
	// X-Forwarded-For is believed. Requests from elsewhere are served as well; their
	// headers are not.
	BehindProxy []string `yaml:"behind_proxy"`
	// MTLS is where clients show certificates (RFC 8705).
	MTLS MTLS `yaml:"mtls"`
	// Outbound: what we fetch from relying parties, and whom we tell of logouts.
	Outbound Outbound `yaml:"outbound"`
	// Operations is the listener of metrics and profiles. It is this machine's own.
	Operations Operations `yaml:"operations"`

	// Authority is what pages say about who runs this.
	Authority Authority `yaml:"authority"`
	// Catalogue is a scope catalogue to use in place of the one inside the binary.
	Catalogue string `yaml:"catalogue"`

	// Registration of applications by themselves (RFC 7591).
	Registration Registration `yaml:"registration"`
	// DeviceGrant switches the device grant on (RFC 8628), for clients registered
	// with it.
	DeviceGrant bool `yaml:"device_grant"`

	// Floor is the least assurance of any login: basic, mfa or bound.
	Floor string `yaml:"floor"`
	// Login: what binding a new phone or key does.
	Login Login `yaml:"login"`
	// Sessions may be shorter than the defaults, which are the longest allowed.
	Sessions Sessions `yaml:"sessions"`
	// Passkeys: the domain and the origins they are bound to.
	Passkeys Passkeys `yaml:"passkeys"`
	// Phones: what a phone's key has to prove.
	Phones Phones `yaml:"phones"`
	// Liveness is the provider that checks for a living person.
	Liveness Liveness `yaml:"liveness"`

	// Risk: how sign-ins are weighed.
	Risk Risk `yaml:"risk"`

	// Limits on what this process takes on.
	Limits Limits `yaml:"limits"`
	// Audit: where the trail is attested.
	Audit Audit `yaml:"audit"`
	// Notices: the gateway for text messages and e-mail.
	Notices Notices `yaml:"notices"`
	// Telemetry: traces. Metrics are always there, at the operations listener.
	Telemetry Telemetry `yaml:"telemetry"`
	// Log: how much is told. Personal data never is.
	Log Log `yaml:"log"`

	// TestProfile says that nothing real is in here: it is for a conformance suite,
	// and lets settings be made that no service may have.
	TestProfile bool `yaml:"test_profile"`

	Made Made `yaml:"-"`
}

// TLS names the certificate chain and the private key, both PEM.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	// Minimum is 1.3, or 1.2 where a peer needs it: then four AEAD suites and no more.
	Minimum string `yaml:"minimum"`
}

// MTLS names where clients' certificates come from: a listener of our own that asks
// for them, or the proxies of behind_proxy.
type MTLS struct {
	// Listen is host:port of a listener that asks for certificates and serves what the
	// public one does, or "off". It uses the certificate of tls.
	Listen string `yaml:"listen"`
	// Base is the origin at which that is reached: mtls_endpoint_aliases.
	Base string `yaml:"base"`
	// ClientCA is a file with the PEM certificates that issue those of
	// tls_client_auth. Without it nobody is authenticated that way.
	ClientCA string `yaml:"client_ca"`
	// ProxyHeader is the header in which the proxies of behind_proxy hand the
	// certificate on (RFC 9440, or PEM in percent signs). From anybody else it is
	// ignored.
	ProxyHeader string `yaml:"proxy_header"`
}

// Outbound is about the calls we make: keys and sectors of relying parties, logout.
// They are https, to public addresses, short and few, and go to no host but those
// listed here and those named in the registrations that operators made.
type Outbound struct {
	// Only lists further hosts (HOST, for port 443, or HOST:PORT) that may be called: where
	// relying parties are that register themselves.
	Only []string `yaml:"only"`
	// Allow lists hosts (HOST, for all ports, or HOST:PORT) that may be called and have
	// addresses which are not public: relying parties of our own network.
	Allow []string `yaml:"allow"`
	// CA is a file with PEM certificates believed beside the system's.
	CA string `yaml:"ca"`
}

// Registration at /register. It takes an initial access token of
// `ecardid client token`.
type Registration struct {
	// Open lets everybody register without one. Only in a test profile.
	Open bool `yaml:"open"`
}

// Operations is the second listener.
type Operations struct {
	// Listen is host:port, or "off".
	Listen string `yaml:"listen"`
	// OpenToTheNetwork says that Listen is meant to be reached by other machines.
	// Whoever reaches it reads metrics and memory profiles: there is no password.
	OpenToTheNetwork bool `yaml:"open_to_the_network"`
}

// Authority is shown on every page.
type Authority struct {
	Name     string `yaml:"name"`    // as in Chinese
	English  string `yaml:"english"` // the same in English; the Chinese name when empty
	Domain   string `yaml:"domain"`  // the official one people are told to look for; the issuer's host when empty
	Helpline string `yaml:"helpline"`
}

// Login is about new phones and keys.
type Login struct {
	// OnePhone: a new phone takes the place of the one before.
	OnePhone bool `yaml:"one_phone"`
	// CoolOff is how long after a new phone, or a new passkey that lives on a device,
	// nothing of high value is given; 0 is not at all.
	CoolOff time.Duration `yaml:"cool_off"`
}

// Sessions of citizens.
type Sessions struct {
	Idle    time.Duration `yaml:"idle"`    // ≤ 1h (SECURITY §0, AAL2)
	Max     time.Duration `yaml:"max"`     // ≤ 24h
	Trusted time.Duration `yaml:"trusted"` // a remembered browser: ≤ 720h (SECURITY MF5)
}

// Passkeys are bound to a domain for ever.
type Passkeys struct {
	RPID    string   `yaml:"rp_id"`   // the issuer's host when empty, or a parent of it
	Origins []string `yaml:"origins"` // the issuer when empty
}

// Phones that citizens bind.
type Phones struct {
	// KeyLevel is the least their key must be proved to be: unattested, software, tee
	// or secure-element.
	KeyLevel string `yaml:"key_level"`
	// Android: whose attestations are believed. Without roots a phone is unattested.
	Android Android `yaml:"android"`
}

// Android says which attestations of Android Keystore count.
type Android struct {
	Roots    string `yaml:"roots"`     // file: PEM certificates, of Google and of makers without Google services
	Revoked  string `yaml:"revoked"`   // file: the list of revoked serials; none when empty
	Apps     []App  `yaml:"apps"`      // ours
	MinPatch int    `yaml:"min_patch"` // oldest security patch level, as 202601; 0 for any
}

// App is a card app as it is signed.
type App struct {
	Package string   `yaml:"package"`
	Digests []string `yaml:"digests"` // SHA-256 of its signing certificates, in hex
}

// Liveness describes the provider (see package liveness for the protocol).
type Liveness struct {
	Name         string   `yaml:"name"`          // ours for it; never changes
	Title        string   `yaml:"title"`         // what citizens are told it is called
	URL          string   `yaml:"url"`           // https, without the trailing slash
	Issuer       string   `yaml:"issuer"`        // iss of what it signs; url when empty
	Keys         string   `yaml:"keys"`          // file: its public keys as a JWK Set
	CaptureHosts []string `yaml:"capture_hosts"` // where it may send browsers; the host of url when empty
	SigningKey   Secret   `yaml:"signing_key"`   // ours: PKCS #8 in PEM, P-256 or SM2
	Mode         string   `yaml:"mode"`          // liveness or liveness+match
	Reference    string   `yaml:"reference"`     // none, authority or handle: what the face is compared with
	MinScore     int      `yaml:"min_score"`
	MinMatch     int      `yaml:"min_match"`
	MinPAD       int      `yaml:"min_pad"`
	Tolerated    []string `yaml:"tolerated_risks"`
	// WithoutDevice lists the purposes for which no registered device is needed.
	WithoutDevice []string      `yaml:"without_device"`
	Lifetime      time.Duration `yaml:"lifetime"`
	// Development lets the stand-in provider answer, which believes everybody. Only
	// with an issuer on this very machine.
	Development bool `yaml:"development"`
}

// Limits of this process.
type Limits struct {
	DatabaseConnections int    `yaml:"database_connections"` // 0: four a CPU
	StatementCache      string `yaml:"statement_cache"`      // prepare, describe or none
	// LeakedPasswords is a file of breached passwords: upper-case SHA-1 hashes in
	// order, as Have I Been Pwned publishes them.
	LeakedPasswords string `yaml:"leaked_passwords"`
}

// Telemetry names an OpenTelemetry collector.
type Telemetry struct {
	OTLPEndpoint string  `yaml:"otlp_endpoint"` // empty: no traces
	Ratio        float64 `yaml:"ratio"`         // of requests traced
}

// Log goes to standard error as JSON lines.
type Log struct {
	Level string `yaml:"level"` // debug, info, warn or error
}

// Made is what checking the file produced, so that nothing is read twice.
type Made struct {
	DSN          string
	KEK          *seal.KEK
	Certificate  *tls.Certificate
	ClientCAs    *x509.CertPool // of mtls.client_ca; nil: none
	Roots        *x509.CertPool // the system's and outbound.ca; nil: the system's
	Proxies      []netip.Prefix
	Catalogue    *catalogue.Catalogue
	Leaks        password.Leak
	Floor        identity.Level
	KeyLevel     identity.KeyLevel
	Attest       attest.Set
	LivenessKey  jose.Key
	LivenessKeys jose.Set
	LivenessHost string // of the provider, for people
	Risk         *risk.Policy
}

// Defaults returns what a file begins from.
func Defaults() Config {
	return Config{
		Listen:     "127.0.0.1:8080",
		TLS:        TLS{Minimum: "1.3"},
		MTLS:       MTLS{Listen: off},
		Operations: Operations{Listen: "127.0.0.1:9464"},
		Authority:  Authority{Name: "电子社会保障卡", English: "Electronic Social Security Card", Helpline: "12333"},
		Floor:      "mfa",
		Login:      Login{OnePhone: true, CoolOff: 24 * time.Hour},
		Sessions:   Sessions{Idle: maxIdle, Max: maxSession, Trusted: maxTrusted},
		Phones:     Phones{KeyLevel: string(identity.KeyUnattested)},
		Liveness: Liveness{
			Title: "", Mode: "liveness", Reference: "none", MinScore: 70, MinPAD: 2, Lifetime: 2 * time.Minute,
			WithoutDevice: []string{"recover"},
		},
		Limits:    Limits{StatementCache: "prepare"},
		Audit:     Audit{Checkpoint: Checkpoint{Every: time.Hour}},
		Notices:   Notices{Algorithm: string(jose.ES256)},
		Telemetry: Telemetry{Ratio: 0.05},
		Log:       Log{Level: "info"},
	}
}

// off is the address of a listener that is not wanted.
const off = "off"

const (
	maxIdle    = time.Hour
	maxSession = 24 * time.Hour
	maxTrusted = 30 * 24 * time.Hour
	minSession = time.Minute
	maxCoolOff = 30 * 24 * time.Hour
)
