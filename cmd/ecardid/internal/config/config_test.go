package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"ecardid/internal/jose"
)

const sample = "../../../../deploy/ecardid.yaml"

// furnish puts the secrets that the sample names beside a copy of it.
func furnish(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ecardid.yaml", text)
	write("kek", strings.Repeat("0123456789abcdef", 4)+"\n")
	ours, err := jose.Generate(jose.SM2, "ours")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := jose.Generate(jose.ES256, "theirs")
	if err != nil {
		t.Fatal(err)
	}
	der, err := ours.MarshalPKCS8()
	if err != nil {
		t.Fatal(err)
	}
	write("liveness-signing.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	set, err := jose.NewSet(theirs)
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	write("liveness-provider.jwks.json", string(public))
	return filepath.Join(dir, "ecardid.yaml")
}

func readSample(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(sample)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheSampleLoads(t *testing.T) {
	t.Setenv("ECARDID_DATABASE", "postgres://ecardid@db.example/ecardid")
	c, err := Load(furnish(t, readSample(t)), NeedServer)
	if err != nil {
		t.Fatal(err)
	}
	if c.Made.KEK == nil || c.Made.LivenessKey.Alg() != jose.SM2 || c.Passkeys.RPID != "login.ecard.example" || c.Authority.Domain != "login.ecard.example" || len(c.Made.Proxies) != 2 {
		t.Errorf("loaded: %+v", c.Made)
	}
}

// TestTheSampleShowsEveryKey: what is commented out in the sample is what the
// program does, and nothing is missing from it.
func TestTheSampleShowsEveryKey(t *testing.T) {
	t.Setenv("ECARDID_DATABASE", "postgres://ecardid@db.example/ecardid")
	text := regexp.MustCompile(`(?m)^#(|  +)([a-z_]+:)`).ReplaceAllString(readSample(t), "$1$2")
	for _, gone := range []string{"tls:", "certificate:", "key:", "minimum:", "catalogue:", "leaked_passwords:", "otlp_endpoint:"} {
		if !strings.Contains(text, gone) {
			t.Errorf("the sample does not mention %s", gone)
		}
	}
	// What has no default has an example, which names files that are not here.
	text = regexp.MustCompile(`(?m)^ *(certificate|key|base|client_ca|proxy_header|ca|catalogue|leaked_passwords|otlp_endpoint|roots|revoked|apps|- package|digests):.*\n`).ReplaceAllString(text, "")
	full, err := Load(furnish(t, text), NeedServer)
	if err != nil {
		t.Fatal(err)
	}
	short, err := Load(furnish(t, readSample(t)), NeedServer)
	if err != nil {
		t.Fatal(err)
	}
	clean := func(c *Config) Config {
		v := *c
		v.Made, v.KEK, v.Liveness.Keys, v.Liveness.SigningKey = Made{}, Secret{}, "", Secret{}
		if len(v.Liveness.Tolerated) == 0 {
			v.Liveness.Tolerated = nil
		}
		if len(v.Outbound.Only) == 0 {
			v.Outbound.Only = nil
		}
		if len(v.Outbound.Allow) == 0 {
			v.Outbound.Allow = nil
		}
		return v
	}
	if a, b := clean(full), clean(short); !reflect.DeepEqual(a, b) {
		t.Errorf("defaults in the sample differ:\n%+v\n%+v", a, b)
	}
	for _, key := range keysOf(reflect.TypeFor[Config]()) {
		if !regexp.MustCompile(`(?m)^#? *(- )?` + key + `:`).MatchString(readSample(t)) {
			t.Errorf("the sample does not mention %s", key)
		}
	}
}

func keysOf(typ reflect.Type) []string {
	var all []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		key := f.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		all = append(all, key)
		inside := f.Type
		if inside.Kind() == reflect.Slice {
			inside = inside.Elem()
		}
		if inside.Kind() == reflect.Struct && inside != reflect.TypeFor[Secret]() {
			all = append(all, keysOf(inside)...)
		}
	}
	return all
}

func TestWhatIsRefused(t *testing.T) {
	t.Setenv("ECARDID_DATABASE", "postgres://ecardid@db.example/ecardid")
	t.Setenv("EMPTY", "")
	good := readSample(t)
	replace := func(old, new string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the sample has no %q", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty", "", []string{"issuer: missing", "database: missing", "kek: missing", "liveness: missing"}},
		{"unknown-key", good + "\nlissten: x\n", []string{"lissten not found"}},
		{"unknown-key-inside", replace("  title:", "  titel:"), []string{"titel not found in Liveness"}},
		{"twice", good + "\nissuer: https://other.example\n", []string{"already defined"}},
		{"two-documents", good + "\n---\nissuer: https://other.example\n", []string{"more than one document"}},
		{"not-yaml", "\t{", []string{""}},
		{"secret-of-no-kind", replace("{file: kek}", "{flie: kek}"), []string{"want {file: PATH} or {env: NAME}"}},
		{"secret-twice", replace("{file: kek}", "{file: kek, env: X}"), []string{"kek: named twice"}},
		{"kek-in-the-file", replace("{file: kek}", strings.Repeat("ab", 32)), []string{"does not belong in this file"}},
		{"kek-missing", replace("{file: kek}", "{file: nowhere}"), []string{"kek: open"}},
		{"kek-empty-variable", replace("{file: kek}", "{env: EMPTY}"), []string{"kek: environment variable EMPTY is not set"}},
		{"kek-weak", replace("{file: kek}", "{file: ecardid.yaml}"), []string{"does not hold 32 random bytes"}},
		{"plain-http", replace("https://login.ecard.example\n", "http://login.ecard.example\n"), []string{"issuer: http is for an issuer on this very machine"}},
		{"issuer-with-path", replace("issuer: https://login.ecard.example", "issuer: https://login.ecard.example/"), []string{"issuer: want scheme, host"}},
		{"issuer-shouts", replace("issuer: https://login", "issuer: https://Login"), []string{"issuer: want scheme, host"}},
		{"open-listener", replace("behind_proxy: [127.0.0.1, \"::1\"]", "listen: 0.0.0.0:8080"), []string{"tls: missing"}},
		{"trusting-everybody", replace("127.0.0.1, \"::1\"", "0.0.0.0/0"), []string{"behind_proxy: \"0.0.0.0/0\" would believe half the world"}},
		// Two halves make a whole.
		{"trusting-half-of-everybody", replace("127.0.0.1, \"::1\"", "0.0.0.0/1, 128.0.0.0/1"), []string{"\"0.0.0.0/1\" would believe", "\"128.0.0.0/1\" would believe"}},
		{"trusting-too-many", replace("127.0.0.1, \"::1\"", "10.0.0.0/7, \"2000::/15\""), []string{"\"10.0.0.0/7\" would believe", "\"2000::/15\" would believe"}},
		{"trusting-them-in-disguise", replace("127.0.0.1, \"::1\"", "\"::ffff:0.0.0.0/97\""), []string{"behind_proxy"}},
		{"password-in-the-file", replace("{env: ECARDID_DATABASE}", "postgres://ecardid:hunter2@db.example/ecardid"), []string{"database: there is a password in it", "{file: PATH} or {env: NAME}"}},
		{"password-after-the-question-mark", replace("{env: ECARDID_DATABASE}", "postgresql://ecardid@db1.example:5432,db2.example:5432/ecardid?sslmode=verify-full&pass%77ord=hunter2"), []string{"database: there is a password in it"}},
		{"half-a-certificate", good + "\ntls: {certificate: x}\n", []string{"certificate and key go together"}},
		{"long-session", good + "\nsessions: {idle: 2h}\n", []string{"sessions.idle: 2h0m0s is not within"}},
		{"waiting-backwards", good + "\nlogin: {cool_off: -1h}\n", []string{"login.cool_off: -1h0m0s is not within 0"}},
		{"waiting-for-years", good + "\nlogin: {cool_off: 9000h}\n", []string{"login.cool_off: 9000h0m0s is not within 0"}},
		{"no-floor", good + "\nfloor: live\n", []string{"floor: basic, mfa or bound"}},
		{"metrics-in-public", good + "\noperations: {listen: \"127.0.0.1:8080\"}\n", []string{"operations.listen: is the public listener"}},
		{"metrics-for-the-network", good + "\noperations: {listen: \":9464\"}\n", []string{"operations.listen: other machines could read", "open_to_the_network: true"}},
		{"metrics-for-one-network", good + "\noperations: {listen: \"192.0.2.7:9464\"}\n", []string{"operations.listen: other machines could read"}},
		{"attested-by-nobody", good + "\nphones: {key_level: tee}\n", []string{"phones.key_level: tee has to be attested"}},
		{"half-an-attestation", good + "\nphones: {android: {min_patch: 202601}}\n", []string{"phones.android.roots: missing"}},
		{"leaks-that-are-none", good + "\nlimits: {leaked_passwords: kek}\n", []string{"limits.leaked_passwords"}},
		{"passkeys-elsewhere", good + "\npasskeys: {rp_id: other.example}\n", []string{"passkeys.rp_id"}},
		{"liveness-over-http", replace("url: https://liveness", "url: http://liveness"), []string{"liveness: url: not https"}},
		{"liveness-without-keys", replace("  keys: liveness-provider.jwks.json\n", ""), []string{"liveness.keys: missing"}},
		{"a-stand-in-in-production", replace("  name: provider-a", "  development: true\n  name: provider-a"), []string{"liveness.development: only with an issuer on this very machine"}},
		{"open-to-everybody", good + "\nregistration: {open: true}\n", []string{"registration.open: lets everybody in"}},
		{"certificates-without-tls", good + "\nmtls: {listen: \"0.0.0.0:8443\", base: \"https://mtls.ecard.example:8443\"}\n", []string{"mtls.listen: needs tls"}},
		{"certificates-at-no-address", good + "\nmtls: {listen: \"0.0.0.0:8443\"}\n", []string{"mtls.base: missing"}},
		{"certificates-on-the-public-listener", good + "\nmtls: {listen: \"127.0.0.1:8080\", base: \"https://mtls.ecard.example\"}\n", []string{"mtls.listen: is another listener already"}},
		{"certificates-from-nobody", good + "\nmtls: {client_ca: kek}\n", []string{"mtls: no certificate could reach us", "mtls.client_ca: there is no certificate"}},
		{"certificates-in-any-header", good + "\nmtls: {proxy_header: Authorization}\n", []string{"mtls.proxy_header: want the name"}},
		{"certificates-from-anybody", replace("behind_proxy: [127.0.0.1, \"::1\"]", "behind_proxy: []") + "\nmtls: {proxy_header: Client-Cert}\n", []string{"mtls.proxy_header: needs behind_proxy"}},
		{"certificates-at-the-issuer", good + "\nmtls: {proxy_header: Client-Cert, base: \"https://login.ecard.example\"}\n", []string{"mtls.base: is the issuer"}},
		{"certificates-over-http", good + "\nmtls: {proxy_header: Client-Cert, base: \"http://mtls.ecard.example\"}\n", []string{"mtls.base: want https"}},
		{"calls-to-a-network", good + "\noutbound: {allow: [10.0.0.0/8, \"*.internal\"]}\n", []string{"\"10.0.0.0/8\" is neither", "\"*.internal\" is neither"}},
		{"calls-by-pattern", good + "\noutbound: {only: [\"*.example\", Hospital.example, \"https://a.example\", a.example/keys, \"a@b.example\", \"\"]}\n",
			[]string{"outbound.only: \"*.example\" is neither", "\"Hospital.example\" is neither", "\"https://a.example\" is neither", "\"a.example/keys\" is neither", "\"a@b.example\" is neither", "\"\" is neither"}},
		{"calls-twice", good + "\noutbound: {only: [a.example, b.example, a.example]}\n", []string{"outbound.only: \"a.example\" is there twice"}},
		{"calls-by-another-key", good + "\noutbound: {onyl: [a.example]}\n", []string{"onyl"}},
		{"calls-by-nobodys-ca", good + "\noutbound: {ca: kek}\n", []string{"outbound.ca: there is no certificate"}},
		{"checkpoints-without-rest", good + "\naudit: {checkpoint: {every: 1s}}\n", []string{"audit.checkpoint.every: not within"}},
		{"notices-in-the-open", good + "\nnotices: {url: \"http://sms.example/\"}\n", []string{"notices.url: want an https URL"}},
		{"notices-unsigned", good + "\nnotices: {algorithm: none}\n", []string{"notices.algorithm: want ES256"}},
		{"checkpoints-in-the-open", good + "\naudit: {checkpoint: {url: \"http://notary.example/\"}}\n", []string{"audit.checkpoint.url: want an https URL"}},
		{"rules-that-are-none", good + "\nrisk: {rules: kek}\n", []string{"risk.rules: "}},
		{"rules-that-are-nowhere", good + "\nrisk: {rules: nowhere}\n", []string{"risk.rules: open"}},
		{"places-that-are-none", good + "\nrisk: {places: kek}\n", []string{"risk.places: places: line 1: want NETWORK,NAME"}},
		{"risk-of-another-mode", good + "\nrisk: {mode: off}\n", []string{"risk.mode: enforce or dry-run"}},
		{"all-at-once", replace("{file: kek}", "{file: nowhere}") + "\nfloor: x\nlog: {level: loud}\n", []string{"kek", "floor", "log.level", "3 problems"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := Load(furnish(t, test.text), NeedServer)
			var problems *Problems
			if !errors.As(err, &problems) || c != nil {
				t.Fatalf("got %v, %v; want problems and nothing else", c, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("it says the password")
			}
		})
	}
}

// What is beside what is refused.
func TestWhatIsNotRefused(t *testing.T) {
	t.Setenv("ECARDID_DATABASE", "postgres://ecardid:kept-elsewhere@db.example/ecardid")
	good := readSample(t)
	for name, text := range map[string]string{
		"as it is":             good,
		"an address":           strings.Replace(good, "{env: ECARDID_DATABASE}", "postgres://ecardid@[2001:db8::1]:5432/ecardid?sslmode=verify-full", 1),
		"networks of our own":  strings.Replace(good, "127.0.0.1, \"::1\"", "10.0.0.0/8, 172.16.0.0/12, \"fd00::/16\"", 1),
		"a management network": good + "\noperations: {listen: \"192.0.2.7:9464\", open_to_the_network: true}\n",
		"a test profile":       good + "\ntest_profile: true\nregistration: {open: true}\n",
		"certificates":         good + "\nmtls: {proxy_header: Client-Cert, base: \"https://mtls.ecard.example:8443\"}\n",
		"calls outside":        good + "\noutbound: {only: [hospital.example, \"bank.example:8443\"]}\n",
		"calls inside":         good + "\noutbound: {allow: [hospital.internal, \"localhost:8443\", 10.0.0.7]}\n",
		"rules tried out":      good + "\nrisk: {mode: dry-run}\n",
		"no operations":        good + "\noperations: {listen: \"off\"}\n",
	} {
		if _, err := Load(furnish(t, text), NeedServer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A secret that others on the machine can read is none.
func TestSecretsAreTheirOwners(t *testing.T) {
	text := strings.Replace(readSample(t), "{env: ECARDID_DATABASE}", "{file: database}", 1)
	for _, name := range []string{"kek", "database", "liveness-signing.pem"} {
		for _, mode := range []os.FileMode{0o400, 0o600, 0o440, 0o604, 0o620, 0o644} {
			file := furnish(t, text)
			dir := filepath.Dir(file)
			if err := os.WriteFile(filepath.Join(dir, "database"), []byte("postgres://ecardid:hunter2@db.example/ecardid\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
			_, err := Load(file, NeedServer)
			switch private := mode&0o077 == 0; {
			case private && err != nil:
				t.Errorf("%s, mode %o: %v", name, mode, err)
			case !private && (err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%s has mode %04o", name, mode)) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("%s, mode %o: %v", name, mode, err)
			}
		}
	}
}

// A credential of systemd's shows a group that is none.
func TestCredentials(t *testing.T) {
	t.Setenv("ECARDID_DATABASE", "postgres://ecardid@db.example/ecardid")
	dir := t.TempDir()
	kek := filepath.Join(dir, "kek")
	if err := os.WriteFile(kek, []byte(strings.Repeat("0123456789abcdef", 4)), 0o600); err != nil {
		t.Fatal(err)
	}
	file := furnish(t, strings.Replace(readSample(t), "{file: kek}", "{file: "+kek+"}", 1))
	load := func(folder string, mode os.FileMode) error {
		t.Setenv("CREDENTIALS_DIRECTORY", folder)
		if err := os.Chmod(kek, mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file, NeedServer)
		return err
	}
	if err := load(dir, 0o440); err != nil {
		t.Error(err)
	}
	if runtime.GOOS != "windows" && (load(dir, 0o444) == nil || load(dir, 0o460) == nil || load(t.TempDir(), 0o440) == nil) {
		t.Error("a credential that others can use")
	}
}

func TestALoopbackIssuerNeedsLittle(t *testing.T) {
	text := "issuer: http://localhost:8080\ndatabase: sqlite:e.db\nkek: {file: kek}\n"
	c, err := Load(furnish(t, text), NeedKeys)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(c.Made.DSN, "/e.db") || !strings.HasPrefix(c.Made.DSN, "sqlite:/") {
		t.Errorf("the database is not beside the file: %s", c.Made.DSN)
	}
	if _, err := Load(furnish(t, text), NeedServer); err == nil || !strings.Contains(err.Error(), "liveness") {
		t.Errorf("serving without a liveness provider: %v", err)
	}
	if _, err := Load(furnish(t, "database: sqlite:e.db\n"), NeedDatabase); err != nil {
		t.Errorf("migrating needs a database and nothing else: %v", err)
	}
}

// TestWhatTheListenerSpeaks: TLS 1.3, or 1.2 with the AEAD suites and nothing else.
func TestWhatTheListenerSpeaks(t *testing.T) {
	der, priv := selfSigned(t)
	key, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		minimum string
		client  *tls.Config
		ok      bool
	}{
		{"1.3", &tls.Config{}, true},
		{"1.3", &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"1.2", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}}, false},
		{"1.2", &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, false},
	} {
		file := furnish(t, "issuer: https://login.ecard.example\ndatabase: sqlite:e.db\nkek: {file: kek}\nlisten: 0.0.0.0:443\ntls: {certificate: c.pem, key: k.pem, minimum: \""+test.minimum+"\"}\n")
		for name, block := range map[string]*pem.Block{"c.pem": {Type: "CERTIFICATE", Bytes: der}, "k.pem": {Type: "PRIVATE KEY", Bytes: key}} {
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if runtime.GOOS != "windows" {
			key := filepath.Join(filepath.Dir(file), "k.pem")
			if err := os.Chmod(key, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(file, NeedKeys); err == nil || !strings.Contains(err.Error(), "k.pem has mode 0644") {
				t.Errorf("a private key for everybody: %v", err)
			}
			if err := os.Chmod(key, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Load(file, NeedKeys)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		go func() {
			_ = tls.Server(ours, c.TLSConfig()).Handshake() // the client's side is looked at
			_ = ours.Close()
		}()
		test.client.InsecureSkipVerify = true // the certificate is not what is tested
		if err := tls.Client(theirs, test.client).Handshake(); (err == nil) != test.ok {
			t.Errorf("minimum %s, client %v: %v", test.minimum, test.client.MaxVersion, err)
		}
		_ = theirs.Close()
	}
}

// TestWhereCertificatesAreShown: the second listener asks for a certificate, takes
// none as well, and speaks no other TLS than the first.
func TestWhereCertificatesAreShown(t *testing.T) {
	der, priv := selfSigned(t)
	key, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	file := furnish(t, "issuer: https://login.ecard.example\ndatabase: sqlite:e.db\nkek: {file: kek}\nlisten: 0.0.0.0:443\n"+
		"tls: {certificate: c.pem, key: k.pem, minimum: \"1.2\"}\n"+
		"mtls: {listen: 0.0.0.0:8443, base: \"https://login.ecard.example:8443\", client_ca: c.pem}\n")
	for name, block := range map[string]*pem.Block{"c.pem": {Type: "CERTIFICATE", Bytes: der}, "k.pem": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(file, NeedKeys)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Certificates() || c.Made.ClientCAs == nil || c.TLSConfig().ClientAuth != tls.NoClientCert {
		t.Errorf("certificates are asked for on the wrong listener: %+v", c.MTLS)
	}
	for name, test := range map[string]struct {
		client *tls.Config
		shown  int
		ok     bool
	}{
		"with a certificate":    {&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: priv}}}, 1, true},
		"without a certificate": {&tls.Config{}, 0, true},
		"without AEAD":          {&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256}}, 0, false},
		"of TLS 1.1":            {&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}, 0, false},
	} {
		ours, theirs := net.Pipe()
		server := tls.Server(ours, c.MutualTLSConfig())
		done := make(chan error, 1)
		go func() { done <- server.Handshake() }()
		test.client.InsecureSkipVerify = true // the certificate is not what is tested
		client := tls.Client(theirs, test.client)
		err := client.Handshake()
		if err == nil {
			go func() { _, _ = client.Read(make([]byte, 1)) }() // takes the session ticket
		}
		if served := <-done; (err == nil && served == nil) != test.ok || test.ok && len(server.ConnectionState().PeerCertificates) != test.shown {
			t.Errorf("%s: %v, %v, shown %d", name, err, served, len(server.ConnectionState().PeerCertificates))
		}
		_ = ours.Close()
		_ = theirs.Close()
	}
}

func selfSigned(t testing.TB) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"login.ecard.example"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	return der, priv
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(readSample(f)))
	f.Add([]byte("kek: {file: &a [*a]}"))
	f.Add([]byte("a: &a [1]\nb: [*a, *a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := Parse(text); err != nil && c != nil {
			t.Error("what failed to parse returned something")
		}
	})
}
