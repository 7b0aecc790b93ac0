package rar_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
	"ecardid/oauth/rar"
	"ecardid/templates"
)

func client() *oauth.Client {
	return &oauth.Client{ID: "hospital", Scope: "openid insurance.pay", DetailsTypes: []string{"insurance_payment"}}
}

const (
	payment = `{"amount":{"currency":"CNY","value":"123.45"},"payee":{"name":"第一医院"},"type":"insurance_payment"}`
	full    = `{"amount":{"currency":"CNY","value":"1234567.80"},"payee":{"account":"6222-0201","name":"A&B Clinic"},"reference":"R-1/2","type":"insurance_payment"}`
)

func named(name string) string {
	b, _ := json.Marshal(name)
	return `[{"type":"insurance_payment","amount":{"currency":"CNY","value":"1.00"},"payee":{"name":` + string(b) + `}}]`
}

func worth(value string) string {
	return `[{"type":"insurance_payment","amount":{"currency":"CNY","value":"` + value + `"},"payee":{"name":"x"}}]`
}

// refused is the one error there is for what strangers send (RFC 9396 §5).
func refused(t *testing.T, err error) {
	t.Helper()
	rfc := new(fosite.RFC6749Error)
	if !errors.As(err, &rfc) || rfc.ErrorField != "invalid_authorization_details" || rfc.CodeField != 400 {
		t.Errorf("%v", err)
	}
}

func TestParse(t *testing.T) {
	types := rar.Shipped()
	for name, r := range map[string]struct{ in, want string }{
		"none":        {"", ""},
		"canonical":   {"[" + payment + "]", "[" + payment + "]"},
		"other-order": {` [ {"type":"insurance_payment", "payee":{"name":"第一医院"}, "amount":{"value":"123.45","currency":"CNY"}} ] `, "[" + payment + "]"},
		"escaped":     {`[{"type":"insurance\u005fpayment","amount":{"currency":"CNY","value":"123.45"},"payee":{"name":"\u7b2c一医院"}}]`, "[" + payment + "]"},
		"full":        {"[" + full + "]", "[" + full + "]"},
		"several":     {"[" + full + "," + payment + "]", "[" + full + "," + payment + "]"},
		"least":       {worth("0.01"), ""},
		"most":        {worth("9999999.99"), ""},
		"two-marks":   {named("Zoe\u0308\u0301 Đặng"), ""},
		"uyghur":      {named("شىنجاڭ دوختۇرخانىسى"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := types.Parse(r.in, client())
			if err != nil {
				t.Fatal(err)
			}
			if got := string(d.JSON()); r.want != "" && got != r.want {
				t.Errorf("spelled %s", got)
			}
			if d.IsZero() != (r.in == "") {
				t.Error("how many?")
			}
			again, err := types.Parse(string(d.JSON()), client())
			if err != nil || string(again.JSON()) != string(d.JSON()) || again.Digest() != d.Digest() {
				t.Errorf("read again: %s %v", again.JSON(), err)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	with := func(old, new string) string { return "[" + strings.Replace(full, old, new, 1) + "]" }
	for name, in := range map[string]string{
		"not-json":      `[`,
		"object":        payment,
		"null":          `null`,
		"empty":         `[]`,
		"null-element":  `[null]`,
		"text-element":  `["insurance_payment"]`,
		"trailing":      "[" + payment + "] x",
		"not-utf8":      "[" + strings.Replace(payment, "第", "\xff", 1) + "]",
		"six":           "[" + strings.Join([]string{payment, full, strings.Replace(full, "R-1", "R-2", 1), strings.Replace(full, "R-1", "R-3", 1), strings.Replace(full, "R-1", "R-4", 1), strings.Replace(full, "R-1", "R-5", 1)}, ",") + "]",
		"too-long":      "[" + payment + strings.Repeat(" ", 9000) + "]",
		"twice":         "[" + payment + "," + payment + "]",
		"deep":          `[{"type":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}]`,
		"no-type":       `[{"amount":{"currency":"CNY","value":"1.00"},"payee":{"name":"x"}}]`,
		"unknown-type":  with("insurance_payment", "payment_initiation"),
		"type-spelling": with(`"type":"insurance_payment"`, `"Type":"insurance_payment"`),
		"type-twice":    with(`"type":"insurance_payment"`, `"type":"insurance_payment","type":"insurance_payment"`),
		// Of the members every type may have (RFC 9396 §2.2) this one has none.
		"unknown-member": with(`"reference"`, `"locations":["https://x"],"reference"`),
		"inner-member":   with(`"currency"`, `"note":"","currency"`),
		"member-twice":   with(`"value":"1234567.80"`, `"value":"1.00","value":"2.00"`),
		"member-twins":   with(`"value":"1234567.80"`, `"value":"1.00","Value":"2.00"`),
		"no-amount":      `[{"type":"insurance_payment","payee":{"name":"x"}}]`,
		"no-payee":       `[{"type":"insurance_payment","amount":{"currency":"CNY","value":"1.00"}}]`,
		"amount-null":    `[{"type":"insurance_payment","amount":null,"payee":{"name":"x"}}]`,
		"number":         with(`"1234567.80"`, `1234567.80`),
		"currency":       with("CNY", "USD"),
		"zero":           worth("0.00"),
		"negative":       worth("-1.00"),
		"plus":           worth("+1.00"),
		"leading-zero":   worth("01.00"),
		"no-decimals":    worth("1"),
		"one-decimal":    worth("1.0"),
		"three-decimals": worth("1.000"),
		"exponent":       worth("1e3"),
		"grouped":        worth("1,000.00"),
		"space":          worth(" 1.00"),
		"line-end":       worth(`1.00\n`),
		"fullwidth":      worth("１.00"),
		"too-much":       worth("10000000.00"),
		"name-empty":     named(""),
		"name-blank":     named("　"),
		"name-padded":    named(" x"),
		"name-gap":       named("a  b"),
		"name-long":      named(strings.Repeat("院", 61)),
		"name-lines":     named("a\nb"),
		"name-nul":       named("a\x00b"),
		"name-bidi":      named("a\u202eb"),
		"name-isolate":   named("a\u2066b"),
		"name-zero":      named("a\u200bb"),
		"name-filler":    named("a\u3164b"),
		"name-variant":   named("a\ufe0f"),
		"name-marks":     named("a\u0301\u0301\u0301"),
		"name-mark":      named("\u0301a"),
		"name-space-m":   named("a \u0301b"),
		"name-private":   named("a\ue000"),
		"name-dots":      named("..."),
		"account":        with("6222-0201", "62 22"),
		"account-short":  with("6222-0201", "1"),
		"account-hyphen": with("6222-0201", "-6222"),
		"account-empty":  with("6222-0201", ""),
		"reference":      with("R-1/2", "R 1"),
		"reference-long": with("R-1/2", strings.Repeat("r", 65)),
	} {
		t.Run(name, func(t *testing.T) {
			d, err := rar.Shipped().Parse(in, client())
			refused(t, err)
			if !d.IsZero() || d.JSON() != nil {
				t.Error("failed and gave something")
			}
		})
	}
	t.Run("not-admitted", func(t *testing.T) {
		_, err := rar.Shipped().Parse("["+payment+"]", &oauth.Client{})
		refused(t, err)
	})
	t.Run("no-types", func(t *testing.T) {
		_, err := rar.Types{}.Parse("["+payment+"]", client())
		refused(t, err)
	})
}

func TestDetails(t *testing.T) {
	d, err := rar.Shipped().Parse("["+full+","+payment+"]", client())
	if err != nil {
		t.Fatal(err)
	}
	if d.Level() != identity.LevelBound || !d.Fresh() || strings.Join(d.Resources(), " ") != "urn:ecardid:resource:insurance" {
		t.Errorf("%v %v %v", d.Level(), d.Fresh(), d.Resources())
	}
	if none := (rar.Details{}); none.Level() != identity.LevelNone || none.Fresh() || none.Resources() != nil || none.Words("en") != "" {
		t.Error("nothing asks for something")
	}
	var v oauth.ConsentView
	d.Show(&v)
	want := oauth.PaymentView{Amount: "1,234,567.80", Payee: "A&B Clinic", Account: "6222-0201", Reference: "R-1/2"}
	if len(v.Payments) != 2 || v.Payments[0] != want || v.Payments[1] != (oauth.PaymentView{Amount: "123.45", Payee: "第一医院"}) {
		t.Errorf("%+v", v.Payments)
	}
	for locale, want := range map[string]string{
		"zh-CN": "用医保账户支付 ¥1,234,567.80，单号 R-1/2，收款账号 6222-0201，收款方：A&B Clinic\n用医保账户支付 ¥123.45，收款方：第一医院",
		"en":    "Pay CNY 1,234,567.80 from your medical insurance account, reference R-1/2, to account 6222-0201, payee: A&B Clinic\nPay CNY 123.45 from your medical insurance account, payee: 第一医院",
	} {
		if got := d.Words(locale); got != want {
			t.Errorf("%s: %q", locale, got)
		}
	}
}

func TestSubset(t *testing.T) {
	both := json.RawMessage("[" + full + "," + payment + "]")
	for name, r := range map[string]struct{ granted, asked, want string }{
		"everything": {string(both), "", string(both)},
		"nothing":    {"", "", ""},
		"one":        {string(both), "[" + payment + "]", "[" + payment + "]"},
		"both":       {string(both), `[` + payment + `,` + full + `]`, `[` + payment + `,` + full + `]`},
		"spelling":   {string(both), `[{"type":"insurance_payment","payee":{"name":"第一医院"},"amount":{"value":"123.45","currency":"CNY"}}]`, "[" + payment + "]"},
		"stored-so":  {strings.ReplaceAll(string(both), ",", ", "), "[" + payment + "]", "[" + payment + "]"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rar.Subset(json.RawMessage(r.granted), json.RawMessage(r.asked))
			if err != nil || string(got) != r.want {
				t.Errorf("%s %v", got, err)
			}
		})
	}
	for name, r := range map[string]struct{ granted, asked string }{
		"another":     {"[" + payment + "]", "[" + full + "]"},
		"more":        {"[" + payment + "]", "[" + payment + "," + full + "]"},
		"less-money":  {"[" + payment + "]", "[" + strings.Replace(payment, "123.45", "1.00", 1) + "]"},
		"fewer-words": {"[" + full + "]", "[" + strings.Replace(full, `"reference":"R-1/2",`, "", 1) + "]"},
		"twice":       {"[" + payment + "]", "[" + payment + "," + payment + "]"},
		"of-nothing":  {"", "[" + payment + "]"},
		"empty":       {"[" + payment + "]", "[]"},
		"null":        {"[" + payment + "]", "null"},
		"object":      {"[" + payment + "]", payment},
		"twins":       {"[" + payment + "]", "[" + strings.Replace(payment, `"type"`, `"type":"insurance_payment","type"`, 1) + "]"},
		"elements":    {"[" + payment + "]", `[1]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rar.Subset(json.RawMessage(r.granted), json.RawMessage(r.asked))
			refused(t, err)
			if got != nil {
				t.Errorf("gave %s", got)
			}
		})
	}
}

func TestSift(t *testing.T) {
	standing := rar.Type{Name: "standing", Scope: "standing", Resource: "urn:x", Read: func([]byte, strictjson.Limits) (rar.Detail, error) { return nil, errors.New("unused") }}
	types, err := rar.New(rar.InsurancePayment(), standing)
	if err != nil {
		t.Fatal(err)
	}
	granted := json.RawMessage(`[` + payment + `,{"type":"standing"},{"type":"gone"}]`)
	if got := types.Scopes(); len(got) != 2 || got["insurance_payment"] != "insurance.pay" || got["standing"] != "standing" {
		t.Errorf("scopes are %v", got)
	}
	admitted := &oauth.Client{Scope: "standing insurance.pay", DetailsTypes: types.Names()}
	if got, err := types.Carried(granted, admitted); err != nil || string(got) != `[{"type":"standing"}]` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := types.Carried(granted, client()); err != nil || got != nil {
		t.Errorf("%s %v", got, err)
	}
	// The type's scope was taken from the client: the type went with it.
	if got, err := types.Carried(granted, &oauth.Client{Scope: "insurance.pay", DetailsTypes: types.Names()}); err != nil || got != nil {
		t.Errorf("%s %v", got, err)
	}
	if got, err := types.Within(granted, &oauth.Client{Scope: "standing", DetailsTypes: types.Names()}); err != nil || string(got) != `[{"type":"standing"}]` {
		t.Errorf("%s %v", got, err)
	}
	if got, err := types.For(granted, []string{"urn:ecardid:resource:insurance"}); err != nil || string(got) != "["+payment+"]" {
		t.Errorf("%s %v", got, err)
	}
	if got, err := types.For(nil, []string{"urn:x"}); err != nil || got != nil {
		t.Errorf("%s %v", got, err)
	}
	for _, bad := range [][]rar.Type{{standing, standing}, {{Name: "x", Scope: "x", Resource: "urn:x"}}, {{Scope: "x", Resource: "urn:x", Read: standing.Read}},
		{{Name: "x", Resource: "urn:x", Read: standing.Read}}, {{Name: "x", Scope: "x", Read: standing.Read}}} {
		if _, err := rar.New(bad...); err == nil {
			t.Errorf("took %v", bad)
		}
	}
}

// FuzzParse: what is taken is spelled one way, and the page shows it as it is.
func FuzzParse(f *testing.F) {
	f.Add("[" + payment + "]")
	f.Add("[" + full + "," + payment + "]")
	f.Add(named("a\u202e"))
	f.Add(worth("1e3"))
	f.Fuzz(func(t *testing.T, in string) {
		d, err := rar.Shipped().Parse(in, client())
		if err != nil {
			refused(t, err)
			if !d.IsZero() || d.JSON() != nil {
				t.Fatal("failed and gave something")
			}
			return
		}
		again, err := rar.Shipped().Parse(string(d.JSON()), client())
		if err != nil || string(again.JSON()) != string(d.JSON()) {
			t.Fatalf("%q is read again as %q: %v", d.JSON(), again.JSON(), err)
		}
		if got, err := rar.Subset(d.JSON(), d.JSON()); err != nil || string(got) != string(d.JSON()) && !d.IsZero() {
			t.Fatalf("is no subset of itself: %q %v", got, err)
		}
		var v oauth.ConsentView
		d.Show(&v)
		for _, p := range v.Payments {
			for _, s := range []string{p.Amount, p.Payee, p.Account, p.Reference} {
				if shown := templates.Text(s).String(); shown != s {
					t.Fatalf("%q would be shown as %q", s, shown)
				}
			}
		}
	})
}
