package totp

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp"
	otptotp "github.com/pquerna/otp/totp"
)

// rfcSeed is the key of RFC 6238 appendix B for SHA-1.
var rfcSeed = Seed{[]byte("12345678901234567890")}

func TestRFC6238Vectors(t *testing.T) {
	// Appendix B shows eight digits; six digits are the last six of them.
	for _, v := range []struct {
		unix int64
		totp string
	}{
		{59, "94287082"},
		{1111111109, "07081804"},
		{1111111111, "14050471"},
		{1234567890, "89005924"},
		{2000000000, "69279037"},
		{20000000000, "65353130"},
	} {
		now := time.Unix(v.unix, 0)
		got, err := Code(rfcSeed, RFC6238, now)
		if err != nil || got != v.totp[2:] {
			t.Errorf("at %d: %q, %v; want %q", v.unix, got, err, v.totp[2:])
		}
		if full := fmt.Sprintf("%08d", hotp(rfcSeed.key, uint64(Step(now)))%100_000_000); full != v.totp {
			t.Errorf("at %d: eight digits %s, want %s", v.unix, full, v.totp)
		}
		if step, ok := Match(rfcSeed, RFC6238, got, now, 0); !ok || step != v.unix/30 {
			t.Errorf("at %d: step %d, %t", v.unix, step, ok)
		}
	}
}

func TestSM3Vectors(t *testing.T) {
	// The table of GM/T 0021 for SM3 (also GB/T 38556), period one second.
	for _, v := range []struct {
		key  string
		t    uint64
		c    uint32
		q    string
		want string
	}{
		{"1234567890abcdef1234567890abcdef", 1313998979, 1234, "5678", "814095"},
		{"1234567890abcdefabcdef1234567890", 1313998995, 5621, "3698", "959691"},
		{"1234567890abcdef0987654321abcdef", 1313999014, 5621, "3698", "063014"},
		{"1234567890abcdefabcdef0987654321", 1313999047, 2053, "6984", "302593"},
		{"87524138025adcfe2584376195abfedc", 1313999067, 2058, "3024", "657337"},
		{"87524138025adcfeabfedc2584376195", 1313999098, 2056, "2018", "345821"},
		{"adcfe87524138025abfedc2584376195", 1313999131, 2358, "1036", "629660"},
		{"58ade3698fe280cb6925010dd236caef", 1313999155, 2547, "2058", "479821"},
		{"58ade365201d80cbdd236caef6925010", 1313999174, 6031, "2058", "893826"},
		{"65201d80cb58ade3dd236caef6925010", 1313999189, 6580, "1047", "607614"},
	} {
		key, err := hex.DecodeString(v.key)
		if err != nil {
			t.Fatal(err)
		}
		if got := format(sm3Value(key, v.t, v.c, []byte(v.q))); got != v.want {
			t.Errorf("T=%d: %s, want %s", v.t, got, v.want)
		}
	}
}

func TestAgreesWithTheLibrary(t *testing.T) {
	secret := base32.StdEncoding.EncodeToString(rfcSeed.key)
	for i := range 200 {
		now := time.Unix(1_700_000_000+int64(i)*31, 0)
		want, err := otptotp.GenerateCodeCustom(secret, now, otptotp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := Code(rfcSeed, RFC6238, now); got != want {
			t.Fatalf("at %d: %s, the library says %s", now.Unix(), got, want)
		}
	}
}

func TestMatch(t *testing.T) {
	now := time.Unix(1_800_000_015, 0)
	step := Step(now)
	at := func(seed Seed, alg Algorithm, s int64) string { return format(value(seed.key, alg, s)) }
	short := Seed{rfcSeed.key[:19]}

	for _, alg := range []Algorithm{RFC6238, SM3} {
		right := at(rfcSeed, alg, step)
		for _, c := range []struct {
			name string
			seed Seed
			alg  Algorithm
			code string
			last int64
			want int64 // 0: refused
		}{
			{name: "this-step", seed: rfcSeed, alg: alg, code: right, want: step},
			{name: "one-step-late", seed: rfcSeed, alg: alg, code: at(rfcSeed, alg, step-1), want: step - 1},
			{name: "one-step-early", seed: rfcSeed, alg: alg, code: at(rfcSeed, alg, step+1), want: step + 1},
			{name: "two-steps-late", seed: rfcSeed, alg: alg, code: at(rfcSeed, alg, step-2)},
			{name: "two-steps-early", seed: rfcSeed, alg: alg, code: at(rfcSeed, alg, step+2)},
			{name: "used-before", seed: rfcSeed, alg: alg, code: right, last: step},
			// The citizen's clock was ahead once: older steps are gone with it.
			{name: "older-than-used", seed: rfcSeed, alg: alg, code: right, last: step + 1},
			{name: "later-than-used", seed: rfcSeed, alg: alg, code: right, last: step - 1, want: step},
			{name: "last-step-from-the-far-future", seed: rfcSeed, alg: alg, code: right, last: 1 << 62},
			{name: "empty", seed: rfcSeed, alg: alg},
			{name: "five-digits", seed: rfcSeed, alg: alg, code: right[1:]},
			{name: "seven-digits", seed: rfcSeed, alg: alg, code: "0" + right},
			{name: "blank-before", seed: rfcSeed, alg: alg, code: " " + right[1:]},
			{name: "newline-after", seed: rfcSeed, alg: alg, code: right + "\n"},
			{name: "sign", seed: rfcSeed, alg: alg, code: "+" + right[1:]},
			{name: "fullwidth-digits", seed: rfcSeed, alg: alg, code: "１２３４５６"},
			{name: "arabic-digits", seed: rfcSeed, alg: alg, code: "٠٠٠"}, // six bytes
			// A factor whose seed cannot be read is no factor (MF2).
			{name: "no-seed", alg: alg, code: at(Seed{}, alg, step)},
			{name: "short-seed", seed: short, alg: alg, code: at(short, alg, step)},
			{name: "unknown-algorithm", seed: rfcSeed, alg: "md5", code: at(rfcSeed, RFC6238, step)},
			{name: "no-algorithm", seed: rfcSeed, code: at(rfcSeed, RFC6238, step)},
		} {
			t.Run(string(alg)+"/"+c.name, func(t *testing.T) {
				got, ok := Match(c.seed, c.alg, c.code, now, c.last)
				if got != c.want || ok != (c.want != 0) {
					t.Errorf("step %d, %t; want %d", got, ok, c.want)
				}
			})
		}
	}
}

func TestMatchBeforeTheEpoch(t *testing.T) {
	code, err := Code(rfcSeed, RFC6238, time.Unix(-100, 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := Match(rfcSeed, RFC6238, code, time.Unix(-100, 0), 0); ok {
		t.Error("a time before 1970 matched")
	}
}

func TestAlgorithmsDoNotMix(t *testing.T) {
	now := time.Unix(1_800_000_015, 0)
	code, _ := Code(rfcSeed, SM3, now)
	if _, ok := Match(rfcSeed, RFC6238, code, now, 0); ok {
		t.Error("an SM3 code was accepted as RFC 6238")
	}
}

func TestNewSeed(t *testing.T) {
	seed, err := NewSeed(strings.NewReader("01234567890123456789rest"))
	if err != nil || len(seed.Reveal())*8 < 160 {
		t.Fatalf("%d bytes, %v", len(seed.Reveal()), err)
	}
	if _, err := NewSeed(strings.NewReader("too little")); err == nil {
		t.Error("a dry source gave a seed")
	}
	if got := seed.Text(); strings.ReplaceAll(got, " ", "") != base32.StdEncoding.EncodeToString(seed.Reveal()) {
		t.Errorf("text %q", got)
	}
	back, err := SeedOf(seed.Reveal())
	if err != nil || !bytes.Equal(back.key, seed.key) {
		t.Errorf("restored %v, %v", back.key, err)
	}
	for _, n := range []int{0, 1, 19, 65} {
		if _, err := SeedOf(make([]byte, n)); err == nil {
			t.Errorf("%d bytes were taken for a seed", n)
		}
	}
}

func TestSeedStaysSecret(t *testing.T) {
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "seed", rfcSeed)
	j, err := json.Marshal(map[string]any{"seed": rfcSeed})
	if err != nil {
		t.Fatal(err)
	}
	text := log.String() + string(j) + fmt.Sprintf("%v %+v %#v %s %q", rfcSeed, rfcSeed, rfcSeed, rfcSeed, rfcSeed)
	if strings.Contains(text, "1234567890") || strings.Contains(text, "49, 50") || strings.Contains(text, rfcSeed.Text()) {
		t.Errorf("the seed shows in %s", text)
	}
}

func TestURI(t *testing.T) {
	for _, c := range []struct {
		name            string
		alg             Algorithm
		issuer, account string
		algorithm       string // "" means an error is wanted
	}{
		{"latin", RFC6238, "Card", "zhang", "SHA1"},
		{"chinese", RFC6238, "电子社保卡", "张**", "SHA1"},
		{"sm3", SM3, "电子社保卡", "?algorithm=SHA1&", "SM3"},
		{"colon-in-issuer", RFC6238, "a:b", "zhang", ""},
		{"colon-in-account", RFC6238, "a", "z:hang", ""},
		{"newline", RFC6238, "a", "zh\nang", ""},
		{"bidi", RFC6238, "a", "zh\u202eang", ""},
		{"invalid-utf8", RFC6238, "a", "\xff", ""},
		{"no-issuer", RFC6238, "", "zhang", ""},
		{"no-account", RFC6238, "Card", "", ""},
		{"long", RFC6238, "Card", strings.Repeat("a", 129), ""},
		{"unknown-algorithm", "md5", "Card", "zhang", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			uri, err := rfcSeed.URI(c.alg, c.issuer, c.account)
			if c.algorithm == "" {
				if err == nil || uri != "" {
					t.Fatalf("%q, %v", uri, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			key, err := otp.NewKeyFromURL(uri)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(uri)
			if err != nil {
				t.Fatal(err)
			}
			if key.Type() != "totp" || key.Issuer() != c.issuer || key.AccountName() != c.account || key.Period() != 30 ||
				key.Digits() != otp.DigitsSix || u.Query().Get("algorithm") != c.algorithm ||
				key.Secret() != base32.StdEncoding.EncodeToString(rfcSeed.key) {
				t.Errorf("%s", uri)
			}
		})
	}
	if _, err := (Seed{}).URI(RFC6238, "a", "b"); err == nil {
		t.Error("an empty seed has a URI")
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("94287082", int64(59), int64(0), true)
	f.Add("287082", int64(59), int64(0), false)
	f.Add("", int64(-1), int64(-1), true)
	f.Fuzz(func(t *testing.T, code string, unix, last int64, national bool) {
		alg := RFC6238
		if national {
			alg = SM3
		}
		now := time.Unix(unix, 0)
		step, ok := Match(rfcSeed, alg, code, now, last)
		switch {
		case !ok && step != 0:
			t.Errorf("a refused code has step %d", step)
		case ok && (step <= last || step < Step(now)-1 || step > Step(now)+1):
			t.Errorf("step %d is out of reach of %d after %d", step, Step(now), last)
		case ok && format(value(rfcSeed.key, alg, step)) != code:
			t.Errorf("%q is not the code of step %d", code, step)
		}
	})
}
