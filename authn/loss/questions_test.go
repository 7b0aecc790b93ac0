package loss

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ecardid/internal/idnumber"
)

func facts(t testing.TB) Facts {
	t.Helper()
	id, err := idnumber.ParseID("11010519491231002X", time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	card, err := idnumber.ParseCard("A12345678")
	if err != nil {
		t.Fatal(err)
	}
	phone, err := idnumber.ParsePhone("13800131234")
	if err != nil {
		t.Fatal(err)
	}
	return Facts{IDNumber: id, Card: card, Phone: phone,
		Activated: time.Date(2026, 2, 28, 17, 0, 0, 0, time.UTC), // already March in Beijing
		Bound:     time.Date(2025, 11, 3, 0, 0, 0, 0, time.UTC)}
}

func TestQuestions(t *testing.T) {
	f := facts(t)
	all := []Question{AskIDEnd, AskBirth, AskDistrict, AskCardEnd, AskPhoneEnd, AskActivated, AskBound}
	if got := Questions(f); !slices.Equal(got, all) {
		t.Errorf("asks %q", got)
	}
	f.Bound, f.Phone = time.Time{}, idnumber.Phone{}
	if got := Questions(f); !slices.Equal(got, []Question{AskIDEnd, AskBirth, AskDistrict, AskCardEnd, AskActivated}) {
		t.Errorf("asks %q of somebody without a phone", got)
	}
	if got := Questions(Facts{}); len(got) != 0 {
		t.Errorf("asks %q about nobody", got)
	}
}

func TestPasses(t *testing.T) {
	f := facts(t)
	for name, c := range map[string]struct {
		answers map[Question]string
		want    bool
	}{
		"nothing":         {nil, false},
		"two":             {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234"}, false},
		"three":           {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234", AskActivated: "2026-03"}, true},
		"as people write": {map[Question]string{AskBirth: " 1949年12月31日 ", AskIDEnd: "002x", AskActivated: "2026/3", AskBound: "202511"}, true},
		"one misheard":    {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234", AskActivated: "2026-03", AskCardEnd: "5679"}, true},
		"two wrong":       {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234", AskActivated: "2026-03", AskCardEnd: "5679", AskBound: "2025-01"}, false},
		"blanks":          {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234", AskActivated: "2026-03", AskCardEnd: " ", AskBound: ""}, true},
		"a found paper":   {map[Question]string{AskBirth: "1949-12-31", AskIDEnd: "002X", AskDistrict: "110105"}, false},
		"a found purse":   {map[Question]string{AskBirth: "1949-12-31", AskIDEnd: "002X", AskDistrict: "110105", AskCardEnd: "5678"}, false},
		"and more":        {map[Question]string{AskBirth: "1949-12-31", AskCardEnd: "5678", AskPhoneEnd: "1234"}, true},
		"not asked":       {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234", AskActivated: "2026-03", "colour": "red", "pet": "cat"}, false},
		"UTC's month":     {map[Question]string{AskBirth: "1949-12-31", AskPhoneEnd: "1234", AskActivated: "2026-02"}, false},
		"no date":         {map[Question]string{AskBirth: "1949-13-31", AskPhoneEnd: "1234", AskActivated: "2026-03"}, false},
	} {
		if got := Passes(f, c.answers); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	// What is not on file cannot be answered, with nothing least of all.
	if Passes(Facts{}, map[Question]string{AskBirth: "", AskIDEnd: "", AskActivated: ""}) || Passes(Facts{}, nil) {
		t.Error("nobody passes")
	}
}

// Whatever is typed, it passes only when it is an answer.
func FuzzPasses(f *testing.F) {
	f.Add("1949-12-31", "1234", "2026-03")
	f.Add("1949年12月", "١٢٣٤", strings.Repeat("9", 100))
	file := facts(f)
	f.Fuzz(func(t *testing.T, birth, phone, month string) {
		ok := Passes(file, map[Question]string{AskBirth: birth, AskPhoneEnd: phone, AskActivated: month})
		if want := readDay(strings.TrimSpace(birth)) == "1949-12-31" && readEnd(strings.TrimSpace(phone)) == "1234" && readMonth(strings.TrimSpace(month)) == "2026-03"; ok != want {
			t.Errorf("%q %q %q: %t", birth, phone, month, ok)
		}
	})
}
