package jose

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

var allAlgs = []Alg{ES256, PS256, RS256, EdDSA, SM2}

// forge makes a JWS of any header and payload, signed by k if it can.
func forge(t testing.TB, k Key, header, payload string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	sig := make([]byte, sigSize)
	if k.CanSign() {
		var err error
		if sig, err = k.sign([]byte(input)); err != nil {
			t.Fatal(err)
		}
	}
	return input + "." + b64.EncodeToString(sig)
}

func TestSignVerify(t *testing.T) {
	for _, alg := range allAlgs {
		t.Run(string(alg), func(t *testing.T) {
			k := mustGenerate(t, alg, `odd "kid" <é>`)
			compact, err := Sign(k, "at+jwt", map[string]any{"sub": "u1", "n": 1})
			if err != nil {
				t.Fatal(err)
			}
			token, err := Parse(compact)
			if err != nil {
				t.Fatal(err)
			}
			if h := token.Header; h.Alg != alg || h.KeyID != k.KeyID() || !h.Is("at+jwt") || h.JWK != nil {
				t.Errorf("header %+v", h)
			}
			v, err := token.Verify(mustSet(t, k), allAlgs...)
			if err != nil {
				t.Fatal(err)
			}
			if v.Key.CanSign() || !v.Key.Equal(k) {
				t.Errorf("verified with %v", v.Key)
			}
			var claims struct {
				Standard
				N int `json:"n"`
			}
			if err := v.Claims(&claims); err != nil || claims.Subject != "u1" || claims.N != 1 {
				t.Errorf("claims %+v, %v", claims, err)
			}
			if err := v.Claims(&struct{ N string }{}); !errors.Is(err, ErrMalformed) {
				t.Errorf("a number in a string: %v", err)
			}
			// Every bit of the signature counts.
			for i := range token.sig {
				bad := token
				bad.sig = bytes.Clone(token.sig)
				bad.sig[i] ^= 1
				if _, err := bad.Verify(mustSet(t, k), alg); !errors.Is(err, ErrSignature) {
					t.Fatalf("octet %d changed: %v", i, err)
				}
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	k := mustGenerate(t, ES256, "k")
	for name, call := range map[string]func() (string, error){
		"no key":        func() (string, error) { return Sign(Key{}, "JWT", struct{}{}) },
		"public key":    func() (string, error) { return Sign(k.Public(), "JWT", struct{}{}) },
		"array":         func() (string, error) { return Sign(k, "JWT", []int{1}) },
		"null":          func() (string, error) { return Sign(k, "JWT", nil) },
		"no JSON":       func() (string, error) { return Sign(k, "JWT", func() {}) },
		"typ of quotes": func() (string, error) { return Sign(k, `x","alg":"none`, struct{}{}) },
		"typ too long":  func() (string, error) { return Sign(k, strings.Repeat("t", maxName+1), struct{}{}) },
		"too long": func() (string, error) {
			return Sign(k, "JWT", map[string]string{"x": strings.Repeat("x", maxCompact)})
		},
	} {
		if s, err := call(); err == nil || s != "" {
			t.Errorf("%s: %q, %v", name, s, err)
		}
	}
	compact, err := Sign(k, "", struct{}{})
	if err != nil || !strings.HasPrefix(compact, b64.EncodeToString([]byte(`{"alg":"ES256","kid":"k"}`))+".") {
		t.Errorf("without typ: %q, %v", compact, err)
	}
}

// A header's alg is believed only where it is the key's own and allowed here.
func TestAlgorithmConfusion(t *testing.T) {
	keys := make(map[Alg]Key)
	for _, alg := range allAlgs {
		keys[alg] = mustGenerate(t, alg, "k")
	}
	for _, of := range allAlgs {
		for _, says := range allAlgs {
			name := fmt.Sprintf("%s key, header %s", of, says)
			header := fmt.Sprintf(`{"alg":%q,"kid":"k"}`, string(says))
			token, err := Parse(forge(t, keys[of], header, `{}`))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_, err = token.Verify(mustSet(t, keys[of]), allAlgs...)
			if says == of && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if says != of && !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s: %v", name, err)
			}
			if _, err = token.Verify(mustSet(t, keys[of])); !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%s, nothing allowed: %v", name, err)
			}
			for _, other := range allAlgs {
				if _, err = token.Verify(mustSet(t, keys[of]), other); (err == nil) != (of == says && says == other) {
					t.Errorf("%s, %s allowed: %v", name, other, err)
				}
			}
		}
	}

	// Symmetric and unsigned tokens never become a Token at all.
	public, err := json.Marshal(keys[ES256])
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "HS256", "HS384", "HS512", "", "es256", "ES256 ", "ES384", "RS512", "Ed25519", "SM2", "sgd_sm3_sm2", "ES256K", "A128KW"} {
		input := b64.EncodeToString([]byte(fmt.Sprintf(`{"alg":%q,"kid":"k"}`, alg))) + "." + b64.EncodeToString([]byte(`{}`))
		mac := hmac.New(sha256.New, public)
		mac.Write([]byte(input))
		for _, sig := range []string{"", b64.EncodeToString(mac.Sum(nil)), b64.EncodeToString(make([]byte, sigSize))} {
			if token, err := Parse(input + "." + sig); err == nil || token.input != "" {
				t.Errorf("alg %q was parsed", alg)
			}
		}
	}
	// Nor does changing the Token afterwards help.
	token, err := Parse(forge(t, keys[ES256], `{"alg":"ES256","kid":"k"}`, `{}`))
	if err != nil {
		t.Fatal(err)
	}
	token.Header.Alg = "none"
	if _, err := token.Verify(mustSet(t, keys[ES256]), "none", ES256); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("alg changed to none: %v", err)
	}
}

// A signature over the same input by the other curve of the same Go type.
func TestSM2IsNotES256(t *testing.T) {
	ec, sm := mustGenerate(t, ES256, "k"), mustGenerate(t, SM2, "k")
	for _, tt := range []struct {
		name        string
		signs, held Key
	}{
		{"ES256 signature, SM2 key", ec, sm},
		{"SM2 signature, ES256 key", sm, ec},
	} {
		header := fmt.Sprintf(`{"alg":%q,"kid":"k"}`, string(tt.held.Alg()))
		token, err := Parse(forge(t, tt.signs, header, `{}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.Verify(mustSet(t, tt.held), allAlgs...); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestUnboundRSA(t *testing.T) {
	k := mustKey(t, rsaA2)
	token, err := Parse(jwsA2)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		allowed []Alg
		ok      bool
	}{
		"the one":        {[]Alg{RS256}, true},
		"beside ES256":   {[]Alg{ES256, RS256, SM2, RS256}, true},
		"two to choose":  {[]Alg{RS256, PS256}, false},
		"the other":      {[]Alg{PS256}, false},
		"none of RSA":    {[]Alg{ES256}, false},
		"nothing at all": {nil, false},
	} {
		if _, err := token.Verify(mustSet(t, k), tt.allowed...); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if bound, err := k.For(PS256); err != nil || bound.Alg() != PS256 || k.Alg() != unbound {
		t.Errorf("For(PS256) = %v, %v", bound, err)
	}
	for _, alg := range []Alg{unbound, ES256, SM2, "none"} {
		if bound, err := k.For(alg); err == nil {
			t.Errorf("For(%q) = %v", string(alg), bound)
		}
	}
	if _, err := mustKey(t, rsaThumb).For(PS256); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("an RS256 key was bound to PS256: %v", err)
	}
}

func TestFindingTheKey(t *testing.T) {
	a, b := mustGenerate(t, ES256, "a"), mustGenerate(t, ES256, "b")
	parse := func(header string) Token {
		token, err := Parse(forge(t, a, header, `{}`))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	named, nameless := parse(`{"alg":"ES256","kid":"a"}`), parse(`{"alg":"ES256"}`)
	for _, tt := range []struct {
		name  string
		token Token
		keys  Keyset
		want  error
	}{
		{"by kid", named, mustSet(t, b, a), nil},
		{"the kid of another", parse(`{"alg":"ES256","kid":"b"}`), mustSet(t, a, b), ErrSignature},
		{"unknown kid", parse(`{"alg":"ES256","kid":"../../etc/passwd"}`), mustSet(t, a), ErrNoKey},
		{"kid of other case", parse(`{"alg":"ES256","kid":"A"}`), mustSet(t, a), ErrNoKey},
		{"no kid, one key", nameless, mustSet(t, a), nil},
		{"no kid, two keys", nameless, mustSet(t, a, b), ErrNoKey},
		{"no kid, no key", nameless, Set{}, ErrNoKey},
		{"no set", named, nil, ErrNoKey},
		{"zero token", Token{}, mustSet(t, a), ErrNoKey},
	} {
		v, err := tt.token.Verify(tt.keys, ES256)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if err != nil && v.Claims(&struct{}{}) == nil {
			t.Errorf("%s: claims after a refusal", tt.name)
		}
	}
	if _, err := NewSet(a, a); err == nil {
		t.Error("one kid twice in a set")
	}
	if _, err := NewSet(Key{}); err == nil {
		t.Error("the zero key in a set")
	}
}

// For DPoP (RFC 9449 §4.3) the key is in the header, for the asking only.
func TestEmbeddedKey(t *testing.T) {
	k := mustGenerate(t, ES256, "k")
	jwk, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	token, err := Parse(forge(t, k, `{"alg":"ES256","typ":"dpop+jwt","kid":"k","jwk":`+string(jwk)+`}`, `{}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.Verify(mustSet(t, k), ES256); !errors.Is(err, ErrMalformed) {
		t.Errorf("Verify took a token with jwk: %v", err)
	}
	embedded, err := ParseJWK(token.Header.JWK)
	if err != nil || embedded.Thumbprint() != k.Thumbprint() {
		t.Fatalf("%v, %v", embedded, err)
	}
	if _, err := token.VerifyKey(embedded, ES256); err != nil {
		t.Error(err)
	}
	if _, err := token.VerifyKey(mustGenerate(t, ES256, "k"), ES256); !errors.Is(err, ErrSignature) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := token.VerifyKey(Key{}, ES256); !errors.Is(err, ErrNoKey) {
		t.Errorf("with no key: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	k := mustGenerate(t, ES256, "k")
	good := forge(t, k, `{"alg":"ES256","kid":"k"}`, `{"sub":"u"}`)
	parts := strings.Split(good, ".")
	header := func(h string) string { return forge(t, k, h, `{}`) }
	claims := func(c string) string { return forge(t, k, `{"alg":"ES256","kid":"k"}`, c) }
	if _, err := Parse(good); err != nil {
		t.Fatal(err)
	}
	for name, compact := range map[string]string{
		"nothing":               "",
		"two parts":             parts[0] + "." + parts[1],
		"four parts":            good + ".",
		"five parts":            "a.b.c.d.e",
		"no header":             "." + parts[1] + "." + parts[2],
		"no payload":            parts[0] + ".." + parts[2],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"padding":               good + "==",
		"a space":               " " + good,
		"a line break":          good + "\n",
		"line break inside":     parts[0] + "." + parts[1] + ".\r\n" + parts[2],
		"standard alphabet":     parts[0] + "." + parts[1] + "." + strings.Repeat("+/", 43),
		"loose bits":            parts[0] + "." + parts[1] + "." + strings.Repeat("A", 85) + "B",
		"JSON serialization":    `{"payload":"e30","protected":"e30","signature":"AA"}`,
		"too long":              claims(`{"x":"` + strings.Repeat("x", maxCompact) + `"}`),
		"header too long":       header(`{"alg":"ES256","x":"` + strings.Repeat("x", maxHeader) + `"}`),
		"header no object":      header(`["ES256"]`),
		"header null":           header(`null`),
		"header no JSON":        header(`{"alg":"ES256"`),
		"header and more":       header(`{"alg":"ES256"}{}`),
		"header not UTF-8":      header("{\"alg\":\"ES256\",\"x\":\"\xc3\"}"),
		"header with BOM":       header("\ufeff" + `{"alg":"ES256"}`),
		"no alg":                header(`{"kid":"k"}`),
		"alg a number":          header(`{"alg":256}`),
		"alg twice":             header(`{"alg":"none","alg":"ES256"}`),
		"alg in two cases":      header(`{"alg":"ES256","ALG":"none"}`),
		"alg escaped twice":     header(`{"alg":"ES256","\u0061lg":"none"}`),
		"kid a number":          header(`{"alg":"ES256","kid":1}`),
		"kid null":              header(`{"alg":"ES256","kid":null}`),
		"kid empty":             header(`{"alg":"ES256","kid":""}`),
		"kid huge":              header(`{"alg":"ES256","kid":"` + strings.Repeat("k", maxName+1) + `"}`),
		"typ an array":          header(`{"alg":"ES256","typ":["JWT"]}`),
		"crit unknown":          header(`{"alg":"ES256","crit":["exp"],"exp":1}`),
		"crit empty":            header(`{"alg":"ES256","crit":[]}`),
		"crit b64":              header(`{"alg":"ES256","crit":["b64"],"b64":false}`),
		"jku":                   header(`{"alg":"ES256","jku":"https://evil.example/jwks"}`),
		"x5u":                   header(`{"alg":"ES256","x5u":"https://evil.example/c"}`),
		"x5c":                   header(`{"alg":"ES256","x5c":["AA"]}`),
		"jwk a string":          header(`{"alg":"ES256","jwk":"k"}`),
		"jwk null":              header(`{"alg":"ES256","jwk":null}`),
		"claims an array":       claims(`[]`),
		"claims a string":       claims(`"x"`),
		"claims no JSON":        claims(`x`),
		"claims not UTF-8":      claims("{\"sub\":\"\xff\"}"),
		"half a surrogate":      claims(`{"sub":"\udc00"}`),
		"surrogates in reverse": claims(`{"sub":"\udc00\ud800"}`),
		"surrogate then letter": claims(`{"sub":"\ud800\u0041"}`),
		"sub twice":             claims(`{"sub":"a","sub":"b"}`),
		"twice, deep inside":    claims(`{"a":[{"b":{"c":1,"c":2}}]}`),
		"twice among many":      claims(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":1}`),
		"two cases among many":  claims(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"A":1}`),
		"EXP for exp":           claims(`{"EXP":1}`),
		"long s for sub":        claims("{\"\u017fub\":\"x\"}"),
		"too deep":              claims(`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`),
	} {
		token, err := Parse(compact)
		if err == nil {
			t.Errorf("%s: parsed", name)
		}
		if token.input != "" || token.payload != nil || token.sig != nil || token.Header.Alg != "" {
			t.Errorf("%s: something came back", name)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	k := mustGenerate(t, ES256, "k")
	for name, compact := range map[string]string{
		"white space":           forge(t, k, " {\r\n\t\"alg\" : \"ES256\" } ", " { \"a\" : [ 1 , { } , [ ] , \"x\" ] } "),
		"unknown header":        forge(t, k, `{"alg":"ES256","x":{"y":[1,2.5e3,true,null,"\u00e9\"\\"]},"cty":"JWT"}`, `{}`),
		"surrogate pair":        forge(t, k, `{"alg":"ES256"}`, `{"name":"\ud83d\ude00","n":"张三"}`),
		"same name elsewhere":   forge(t, k, `{"alg":"ES256"}`, `{"a":{"a":{"a":1}},"b":[{"c":1},{"c":2}]}`),
		"both cases, deeper in": forge(t, k, `{"alg":"ES256"}`, `{"x":{"a":1,"A":2}}`),
	} {
		token, err := Parse(compact)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := token.Verify(mustSet(t, k), ES256); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// r‖s in 64 octets, both in range, and nothing else.
func TestSignatureEncoding(t *testing.T) {
	orders := map[Alg]string{
		ES256: "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551",
		SM2:   "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123",
	}
	for alg, order := range orders {
		k := mustGenerate(t, alg, "k")
		input := []byte("input")
		sig, err := k.sign(input)
		if err != nil {
			t.Fatal(err)
		}
		der, err := rawToDER(nil, sig)
		if err != nil {
			t.Fatal(err)
		}
		zero, n := make([]byte, 32), unhex(t, order)
		for name, bad := range map[string][]byte{
			"DER":          der,
			"empty":        {},
			"63 octets":    sig[:63],
			"65 octets":    append(bytes.Clone(sig), 0),
			"r zero":       append(bytes.Clone(zero), sig[32:]...),
			"s zero":       append(bytes.Clone(sig[:32]), zero...),
			"both zero":    make([]byte, 64),
			"r the order":  append(bytes.Clone(n), sig[32:]...),
			"s the order":  append(bytes.Clone(sig[:32]), n...),
			"all ones":     bytes.Repeat([]byte{0xff}, 64),
			"r and s swap": append(bytes.Clone(sig[32:]), sig[:32]...),
		} {
			if err := k.verify(input, bad); !errors.Is(err, ErrSignature) {
				t.Errorf("%s, %s: %v", alg, name, err)
			}
		}
	}
	// Short halves keep their leading zeros.
	short := append(make([]byte, 31), 0x80)
	short = append(short, append(make([]byte, 30), 0x01, 0x7f)...)
	der, err := rawToDER(nil, short)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := derToRaw(der); err != nil || !bytes.Equal(raw, short) {
		t.Errorf("%x, %v", raw, err)
	}
	for _, bad := range []string{"", "30", "3000", "300402010101", "30060201010201", "3006020100020101", "300602010102010100"} {
		if raw, err := derToRaw(unhex(t, bad)); err == nil {
			t.Errorf("derToRaw(%s) = %x", bad, raw)
		}
	}
}

func TestHeaderIs(t *testing.T) {
	for typ, want := range map[string]bool{
		"at+jwt": true, "AT+JWT": true, "application/at+jwt": true, "Application/at+JWT": true,
		"": false, "JWT": false, "text/at+jwt": false, "application/": false, "at+jwt ": false,
	} {
		if got := (Header{Type: typ}).Is("at+jwt"); got != want {
			t.Errorf("typ %q: %t", typ, got)
		}
	}
	if (Header{}).Is("") {
		t.Error("a missing typ is something")
	}
}

func TestConcurrentUse(t *testing.T) {
	for _, alg := range []Alg{ES256, SM2} {
		k := mustGenerate(t, alg, "k")
		set := mustSet(t, k)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 8 {
					compact, err := Sign(k, "JWT", struct{}{})
					if err != nil {
						t.Error(err)
						return
					}
					token, err := Parse(compact)
					if err != nil {
						t.Error(err)
						return
					}
					if _, err := token.Verify(set, alg); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
}
