package main

import (
	"context"
	"encoding/base32"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecardid/authn/totp"
)

// A citizen signs in for the suite. The numbers are made up; 110105 1949-12-31 is the
// example of the national standard.
type citizen struct {
	name, id, phone, card, password, claims string
}

// holder has a value for every standard claim (OpenID Connect Core §5.1) and agrees to
// everything; refuser agrees to nothing, and is asked each time because of it.
var (
	holder = citizen{
		name: "欧阳一致", id: "11010519491231002X", phone: "13920000001", card: "T40000001", password: "correct-horse-battery-one",
		claims: `{"given_name":"一致","family_name":"欧阳","middle_name":"小","nickname":"一一","preferred_username":"ouyang",` +
			`"profile":"https://people.example/ouyang","picture":"https://people.example/ouyang.png","website":"https://ouyang.example",` +
			`"email":"ouyang@people.example","email_verified":true,"gender":"female","birthdate":"1949-12-31","zoneinfo":"Asia/Shanghai",` +
			`"address":{"formatted":"建国路1号\n北京 100025\n中国","street_address":"建国路1号","locality":"北京",` +
			`"region":"北京","postal_code":"100025","country":"中国"}}`,
	}
	refuser = citizen{
		name: "司马不", id: "110105195001150031", phone: "13920000002", card: "T40000002", password: "correct-horse-battery-two",
	}

	// Something happens to these two (signals.go).
	toldByPush = citizen{
		name: "诸葛推", id: "110105195201160015", phone: "13920000003", card: "T40000003", password: "correct-horse-battery-three",
	}
	toldByPoll = citizen{
		name: "诸葛取", id: "110105195301170026", phone: "13920000004", card: "T40000004", password: "correct-horse-battery-four",
	}
)

// bring imports the citizens and walks through first contact for each of them, as
// they would, so that a user name and a password sign them in.
func (o *op) bring(ctx context.Context, all ...citizen) error {
	var table strings.Builder
	w := csv.NewWriter(&table)
	_ = w.Write([]string{"name", "id_number", "phone", "card_number", "claims"})
	for _, c := range all {
		_ = w.Write([]string{c.name, c.id, c.phone, c.card, c.claims})
	}
	w.Flush()
	codes := o.run("codes.csv")
	if err := os.Remove(codes); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if _, err := o.do(ctx, []byte(table.String()), "citizen", "import", "-", "--codes", codes); err != nil {
		return err
	}
	f, err := os.Open(codes)
	if err != nil {
		return err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return err
	}
	for i, c := range all {
		code, err := activationCode(rows, i)
		if err != nil {
			return err
		}
		if err := o.activate(ctx, c, code); err != nil {
			return fmt.Errorf("first contact of card %s: %w", c.card, err)
		}
	}
	return nil
}

// activationCode finds the code of the n-th citizen. Names and cards are masked in
// the file; rows are counted as a spreadsheet does, the header first.
func activationCode(rows [][]string, n int) (string, error) {
	const above = 2
	if len(rows) == 0 {
		return "", errors.New("the file of activation codes is empty")
	}
	row, code := slices.Index(rows[0], "row"), slices.Index(rows[0], "code")
	for _, cells := range rows[1:] {
		if row >= 0 && code >= 0 && cells[row] == strconv.Itoa(n+above) {
			return cells[code], nil
		}
	}
	return "", fmt.Errorf("no activation code for citizen %d", n+1)
}

func (o *op) activate(ctx context.Context, c citizen, code string) error {
	v := newVisitor(o.http)
	v.get(ctx, "/login/activate")
	v.submit(ctx, "activate-submit", "card", c.card, "code", code)
	v.submit(ctx, "password-submit", "password", c.password)
	v.submit(ctx, "greeting-submit", "greeting", "窗台上的仙人掌")
	if v.has("way-totp") {
		v.follow(ctx, "way-totp")
	}
	seed := strings.ReplaceAll(v.text("secret"), " ", "")
	if v.err == nil && seed == "" {
		return fmt.Errorf("%s shows no seed: %s", v.at.Path, v.text("problem"))
	}
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(seed, "="))
	if err := errors.Join(v.err, err); err != nil {
		return err
	}
	s, err := totp.SeedOf(key)
	if err != nil {
		return err
	}
	now, err := totp.Code(s, totp.RFC6238, time.Now())
	if err != nil {
		return err
	}
	v.submit(ctx, "code-submit", "code", now)
	v.submit(ctx, "codes-kept")
	if v.err == nil && v.has("device-skip") {
		v.submit(ctx, "device-skip")
	}
	return v.err
}
