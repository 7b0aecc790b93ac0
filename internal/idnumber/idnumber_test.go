package idnumber_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"ecardid/internal/idnumber"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// withCheck completes seventeen digits, written without the code under test.
func withCheck(t testing.TB, seventeen string) string {
	t.Helper()
	// ISO 7064 MOD 11-2 the pure way: double and add, then solve for 1.
	p := 0
	for _, d := range seventeen {
		p = (p + int(d-'0')) * 2 % 11
	}
	return seventeen + string("0123456789X"[(12-p)%11])
}

func TestParseID(t *testing.T) {
	tests := []struct {
		name, text, want string
		err              error
	}{
		{"standard's-example", "11010519491231002X", "11010519491231002X", nil}, // GB 11643 appendix A
		{"lower-case-x", "11010519491231002x", "11010519491231002X", nil},
		{"second-example", "440524188001010014", "440524188001010014", nil}, // born 1880
		{"another-age", withCheck(t, "11010518491231001"), "", idnumber.ErrBirth},
		{"white-space-around", " 11010519491231002X\n", "11010519491231002X", nil},
		{"hong-kong", withCheck(t, "81000019900101001"), "", idnumber.ErrRegion},
		{"hong-kong-permit", withCheck(t, "81000119900101001"), withCheck(t, "81000119900101001"), nil},
		{"macao-permit", withCheck(t, "82000119900101001"), withCheck(t, "82000119900101001"), nil},
		{"taiwan-permit", withCheck(t, "83000119900101001"), withCheck(t, "83000119900101001"), nil},
		{"leap-day", withCheck(t, "11010520000229001"), withCheck(t, "11010520000229001"), nil},
		{"wrong-check", "110105194912310021", "", idnumber.ErrCheck},
		{"30-february", "110105194902310026", "", idnumber.ErrBirth},
		{"leap-day-of-no-leap-year", withCheck(t, "11010519000229001"), "", idnumber.ErrBirth},
		{"month-13", withCheck(t, "11010519901301001"), "", idnumber.ErrBirth},
		{"month-0", withCheck(t, "11010519900001001"), "", idnumber.ErrBirth},
		{"no-such-province", withCheck(t, "16010519900101001"), "", idnumber.ErrRegion},
		{"empty", "", "", idnumber.ErrFormat},
		{"fifteen-digits", "110105491231002", "", idnumber.ErrFormat},
		{"x-inside", "1101051949123100X2", "", idnumber.ErrFormat},
		{"space-inside", "110105 9491231002X", "", idnumber.ErrFormat},
		{"full-width-digits", "１１０１０５１９４９１２３１００２X", "", idnumber.ErrFormat},
		{"nineteen", "11010519491231002XX", "", idnumber.ErrFormat},
		{"plus", "+1010519491231002X", "", idnumber.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := idnumber.ParseID(tt.text, now)
			if !errors.Is(err, tt.err) || got.Reveal() != tt.want {
				t.Errorf("got %s, %v", got.Reveal(), err)
			}
			if err != nil && tt.text != "" && strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error repeats the number: %v", err)
			}
		})
	}
}

func TestBirthIsNotInTheFuture(t *testing.T) {
	text := withCheck(t, "11010520260302001")
	// Half past midnight in Beijing is still the day before in UTC.
	midnight := time.Date(2026, 3, 1, 16, 0, 0, 0, time.UTC)
	if _, err := idnumber.ParseID(text, midnight.Add(-time.Second)); !errors.Is(err, idnumber.ErrBirth) {
		t.Errorf("born tomorrow: %v", err)
	}
	id, err := idnumber.ParseID(text, midnight)
	if err != nil {
		t.Fatalf("born today: %v", err)
	}
	if want := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC); !id.Birth().Equal(want) {
		t.Errorf("born %v", id.Birth())
	}
	if !(idnumber.ID{}).Birth().IsZero() {
		t.Error("nobody has a birthday")
	}
}

func TestEveryWrongDigitShows(t *testing.T) {
	// MOD 11-2 finds every single wrong digit; here, whatever check finds it.
	const good = "11010519491231002X"
	for i := range len(good) - 1 {
		for d := byte('0'); d <= '9'; d++ {
			bad := []byte(good)
			bad[i] = d
			_, err := idnumber.ParseID(string(bad), now)
			if (err == nil) != (string(bad) == good) {
				t.Errorf("%s: %v", bad, err)
			}
		}
	}
}

func TestParsePhone(t *testing.T) {
	for text, want := range map[string]string{
		"13800131234":        "13800131234",
		"+8613800131234":     "13800131234",
		"+86 138-0013-1234":  "13800131234",
		" 138 0013 1234 ":    "13800131234",
		"19900000000":        "19900000000",
		"":                   "",
		"12800131234":        "", // 12 is no mobile prefix
		"1380013123":         "",
		"138001312345":       "",
		"8613800131234":      "", // without the plus it is another number
		"+1 3800131234":      "",
		"+8523800131234":     "",
		"+86+8613800131234":  "",
		"１３８００１３１２３４":        "",
		"13800131234;ext=1":  "",
		"1380013\x001234":    "",
		"138001３1234":        "",
		"13800131234\n13800": "",
	} {
		got, err := idnumber.ParsePhone(text)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, got.Reveal(), err)
		}
	}
}

func TestParseCard(t *testing.T) {
	for text, want := range map[string]string{
		"A12345678":    "A12345678",
		"a12345678":    "A12345678",
		"A1234-5678":   "A12345678",
		" A 1234 5678": "A12345678",
		"012345678":    "012345678",
		"A1234567X":    "A1234567X",
		"":             "",
		"A1234567":     "",
		"A123456789":   "",
		"A1234567*":    "",
		"甲12345678":    "",
		"A12345\x0078": "",
	} {
		got, err := idnumber.ParseCard(text)
		if got.Reveal() != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v", text, got.Reveal(), err)
		}
	}
}

func TestMasks(t *testing.T) {
	for name, want := range map[string]string{
		"张三": "张**", "欧阳娜娜": "欧**", " 李四": "李**", "Alice Wang": "A**", "": "", "  ": "",
		"\xff\xfe": "**",
	} {
		if got := idnumber.MaskName(name); got != want {
			t.Errorf("%q: got %q", name, got)
		}
	}
	id, err := idnumber.ParseID("11010519491231002x", now)
	if err != nil {
		t.Fatal(err)
	}
	phone, err := idnumber.ParsePhone("13800131234")
	if err != nil {
		t.Fatal(err)
	}
	card, err := idnumber.ParseCard("A12345678")
	if err != nil {
		t.Fatal(err)
	}
	if got := id.Mask(); got != "1****************X" {
		t.Errorf("ID: %s", got)
	}
	if got := phone.Mask(); got != "138****1234" {
		t.Errorf("phone: %s", got)
	}
	if got := card.Mask(); got != "A******78" {
		t.Errorf("card: %s", got)
	}
	if (idnumber.ID{}).Mask()+(idnumber.Phone{}).Mask()+(idnumber.Card{}).Mask() != "" {
		t.Error("nothing has a mask")
	}

	// However such a number is printed, encoded or logged, it is masked.
	row := struct {
		ID    idnumber.ID
		Phone idnumber.Phone
		Card  *idnumber.Card
	}{id, phone, &card}
	encoded, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "row", row, "id", id, "phone", phone, "card", card)
	}
	all := string(encoded) + log.String() + fmt.Sprintf("%v %+v %#v %s", row, row, row, []any{id, phone, card})
	for _, secret := range []string{id.Reveal(), phone.Reveal(), card.Reveal()} {
		if strings.Contains(all, secret) {
			t.Errorf("%s got out:\n%s", secret, all)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"11010519491231002X", "+86 138-0013-1234", "A1234-5678", "", "\xff", "110105194902310026"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		// What failed to parse returns nothing; what parsed is its own normal form
		// and is not to be read off its mask.
		check := func(kind, number, mask string, again string, err error) {
			t.Helper()
			switch {
			case err != nil && number != "":
				t.Errorf("%s: failed and returned %q", kind, number)
			case err == nil && (again != number || mask == number || len(mask) != len(number)):
				t.Errorf("%s: %q, again %q, mask %q", kind, number, again, mask)
			}
		}
		id, err := idnumber.ParseID(text, now)
		id2, _ := idnumber.ParseID(id.Reveal(), now)
		check("id", id.Reveal(), id.Mask(), id2.Reveal(), err)
		phone, err := idnumber.ParsePhone(text)
		phone2, _ := idnumber.ParsePhone(phone.Reveal())
		check("phone", phone.Reveal(), phone.Mask(), phone2.Reveal(), err)
		card, err := idnumber.ParseCard(text)
		card2, _ := idnumber.ParseCard(card.Reveal())
		check("card", card.Reveal(), card.Mask(), card2.Reveal(), err)
		_ = idnumber.MaskName(text)
	})
}
