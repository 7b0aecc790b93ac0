package rar

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"ecardid/identity"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
)

// insurancePayment is one payment from the citizen's medical insurance account:
//
//	{"type": "insurance_payment",
//	 "amount": {"currency": "CNY", "value": "123.45"},
//	 "payee": {"name": "第一医院", "account": "6222…"},
//	 "reference": "R-1"}
//
// account and reference may be left out.
type insurancePayment struct {
	Type      string `json:"type"`
	Amount    amount `json:"amount"`
	Payee     payee  `json:"payee"`
	Reference string `json:"reference,omitempty"`
}

type amount struct {
	Currency string `json:"currency"`
	Value    string `json:"value"`
}

type payee struct {
	Name    string `json:"name"`
	Account string `json:"account,omitempty"`
}

const (
	typePayment = "insurance_payment"
	yuan        = "CNY"

	maxName = 60 // characters of a payee: all of them fit the page and the phone
	maxText = 256
)

// InsurancePayment is the type. It asks for what the scope insurance.pay asks for
// and, beyond that, for proof given for this one payment; it is good for one access
// token.
func InsurancePayment() Type {
	return Type{
		Name: typePayment, Scope: "insurance.pay", Level: identity.LevelBound, Fresh: true, Once: true,
		Resource: "urn:ecardid:resource:insurance", Read: readPayment,
	}
}

var (
	// value is an amount in fen, written the one way a bill writes it: up to ten
	// million yuan, no sign, no leading zero, always two digits after the point. What
	// floating point makes of an amount is never looked at.
	value     = regexp.MustCompile(`^(0|[1-9][0-9]{0,6})\.[0-9]{2}$`)
	account   = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{2,32}[0-9A-Za-z]$`)
	reference = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._/-]{0,63}$`)
)

func readPayment(element []byte, limits strictjson.Limits) (Detail, error) {
	f := limits.Fields(element, "type", "amount", "payee", "reference?")
	a := f.Object("amount", "currency", "value")
	p := f.Object("payee", "name", "account?")
	d := insurancePayment{
		Type:      f.Text("type", maxText),
		Amount:    amount{a.Text("currency", maxText), a.Text("value", maxText)},
		Payee:     payee{p.Text("name", maxText), p.Text("account", maxText)},
		Reference: f.Text("reference", maxText),
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	switch {
	case d.Amount.Currency != yuan:
		return nil, errors.New("amount.currency is not CNY")
	case !value.MatchString(d.Amount.Value) || d.Amount.Value == "0.00":
		return nil, errors.New("amount.value is not an amount from 0.01 to 9999999.99 with two decimals")
	case !readable(d.Payee.Name):
		return nil, fmt.Errorf("payee.name is not a name of up to %d visible characters on one line", maxName)
	case d.Payee.Account != "" && !account.MatchString(d.Payee.Account):
		return nil, errors.New("payee.account is not 4 to 34 digits, letters and hyphens")
	case d.Reference != "" && !reference.MatchString(d.Reference):
		return nil, errors.New("reference is not up to 64 digits, letters and any of . _ / -")
	}
	return d, nil
}

// Show implements Detail.
func (d insurancePayment) Show(v *oauth.ConsentView) {
	v.Payments = append(v.Payments, oauth.PaymentView{
		Amount: grouped(d.Amount.Value), Payee: d.Payee.Name, Account: d.Payee.Account, Reference: d.Reference,
	})
}

// Words implements Detail. The name comes last: nothing that is written in it, from
// whichever side, can push the amount about.
func (d insurancePayment) Words(locale string) string {
	say := [...]string{"用医保账户支付 ¥%s", "，单号 %s", "，收款账号 %s", "，收款方：%s"}
	if locale == "en" {
		say = [...]string{"Pay CNY %s from your medical insurance account", ", reference %s", ", to account %s", ", payee: %s"}
	}
	var b strings.Builder
	fmt.Fprintf(&b, say[0], grouped(d.Amount.Value))
	if d.Reference != "" {
		fmt.Fprintf(&b, say[1], d.Reference)
	}
	if d.Payee.Account != "" {
		fmt.Fprintf(&b, say[2], d.Payee.Account)
	}
	fmt.Fprintf(&b, say[3], d.Payee.Name)
	return b.String()
}

// grouped sets the thousands apart, so that a digit too many is seen.
func grouped(value string) string {
	whole, fen, _ := strings.Cut(value, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + "." + fen
}

// readable reports whether a page shows s exactly as it is written: what a citizen
// agrees to is what they saw. A page leaves out what draws nothing, and piles of
// marks; here all of that is refused.
func readable(s string) bool {
	if n := utf8.RuneCountInString(s); !utf8.ValidString(s) || n == 0 || n > maxName || strings.TrimSpace(s) != s || strings.Contains(s, "  ") {
		return false
	}
	const most = 2 // marks on a letter
	marks, letters := most, false
	for _, r := range s {
		switch {
		case !unicode.IsPrint(r), r == utf8.RuneError, blank(r):
			return false
		case unicode.Is(unicode.M, r):
			if marks++; marks > most {
				return false
			}
		case r == ' ':
			marks = most // none on a space
		default:
			marks = 0
			letters = letters || unicode.IsLetter(r) || unicode.IsDigit(r)
		}
	}
	return letters
}

// blank reports characters that are letters, marks or symbols by name and draw
// nothing. Format and bidirectional controls are not printable to begin with.
func blank(r rune) bool {
	switch r {
	case '\u034f', '\u115f', '\u1160', '\u17b4', '\u17b5', '\u2800', '\u3164', '\uffa0':
		return true
	}
	return unicode.Is(unicode.Variation_Selector, r)
}
