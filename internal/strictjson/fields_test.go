package strictjson_test

import (
	"slices"
	"strings"
	"testing"
)

// What is read is a text, a list that may be missing and an inner object.
func TestFields(t *testing.T) {
	const good = `{"a":"x","list":["y"],"in":{"b":"z"}}`
	for body, ok := range map[string]bool{
		good:                                            true,
		" " + good + "\n":                               true,
		`{"a":"x","list":[],"in":{"b":"z"}}`:            true,
		`{"a":"x","in":{"b":"z"}}`:                      true, // list? may be missing
		`{"a":"x","list":null,"in":{"b":"z"}}`:          false,
		`{"a":null,"in":{"b":"z"}}`:                     false,
		`{"a":"x","in":null}`:                           false,
		`{"a":"x","in":["b"]}`:                          false,
		`{"a":"x","in":{"b":"z","c":1}}`:                false,
		`{"a":"x","in":{"b":"z","b":"z"}}`:              false,
		`{"a":"x","in":{}}`:                             false,
		`{"a":"x"}`:                                     false,
		`{"a":"x","A":"x","in":{"b":"z"}}`:              false,
		`{"A":"x","in":{"b":"z"}}`:                      false,
		`{"a":"x","in":{"b":"z"},"list?":[]}`:           false,
		`{"a":"x","in":{"b":"z"}`:                       false,
		good + good:                                     false,
		`{"a":"\ud800\u0000","in":{"b":"z"}}`:           false,
		`{"a":"x\u0000","in":{"b":"z"}}`:                false,
		`{"a":"","in":{"b":"z"}}`:                       false,
		`{"a":"123456789","in":{"b":"z"}}`:              false,
		`{"a":"x","list":["y","y","y"],"in":{"b":"z"}}`: false,
		`{"a":"x","list":["y",null],"in":{"b":"z"}}`:    false,
		`{"a":"x","list":[""],"in":{"b":"z"}}`:          false,
		`{"a":"x","list":{"0":"y"},"in":{"b":"z"}}`:     false,
		"\xef\xbb\xbf" + good:                           false,
		`[` + good + `]`:                                false,
		strings.Repeat(`{"a":`, 20000):                  false,
	} {
		f := room.Fields([]byte(body), "a", "list?", "in")
		f.Text("a", 8)
		f.Texts("list", 2, 8)
		in := f.Object("in", "b")
		in.Text("b", 8)
		if got := f.Err() == nil; got != ok || in.Err() != f.Err() {
			t.Errorf("%.60s: %v (%v, %v)", body, got, f.Err(), in.Err())
		}
	}
}

func TestGetters(t *testing.T) {
	f := room.Fields([]byte(`{"n":7,"yes":true,"no":false,"nil":null,"in":{"m":-3}}`),
		"n", "yes", "no", "nil", "in", "text?", "texts?", "int?", "flag?", "object?")
	missing := f.Object("object", "a", "b?")
	if f.Integer("n", 0, 9) != 7 || !f.Flag("yes") || f.Flag("no") || !f.IsNull("nil") || f.IsNull("n") ||
		f.Object("in", "m").Integer("m", -3, 3) != -3 ||
		f.Text("text", 8) != "" || f.Texts("texts", 8, 8) != nil || f.Integer("int", 1, 2) != 0 || f.Flag("flag") || f.IsNull("flag") ||
		missing.Text("a", 8) != "" || missing.Text("b", 8) != "" || f.Err() != nil {
		t.Errorf("%v", f.Err())
	}
}

// Each row does one thing wrong: the error says which, in the protocol's words, and
// nothing is given from then on.
func TestFieldsRefuse(t *testing.T) {
	doc := `{"n":1,"t":"x","o":{"m":1}}`
	names := []string{"n", "t", "o"}
	for _, row := range []struct {
		doc  string
		want string
	}{
		{doc, ""},
		{`{"n":1.0,"t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":1e0,"t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":"1","t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":10,"t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":-1,"t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":9223372036854775808,"t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":null,"t":"x","o":{"m":1}}`, "n is not a whole number"},
		{`{"n":1,"t":7,"o":{"m":1}}`, "t is not a text"},
		{`{"n":1,"t":"x","o":{"m":2}}`, "o.m is not a whole number"},
		{`{"n":1,"t":"x","o":{"secret":1}}`, "o: a member that does not belong here"},
		{`{"n":1,"t":"x","o":{}}`, "o: m is missing"},
		{`{"n":1,"t":"x"}`, "o is missing"},
		{`{"n":1,"t":"x","o":{"m":1},"secret":1}`, "a member that does not belong here"},
		{`{"n":1,"t":"x","o":{"m":1,"m":1}}`, "a member is there twice"},
	} {
		f := room.Fields([]byte(row.doc), names...)
		n, s := f.Integer("n", 0, 9), f.Text("t", 8)
		o := f.Object("o", "m")
		m := o.Integer("m", 0, 1)
		err := f.Err()
		if row.want == "" {
			if err != nil || n != 1 || s != "x" || m != 1 {
				t.Errorf("%s: %v", row.doc, err)
			}
			continue
		}
		if err == nil || !strings.HasPrefix(err.Error(), row.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", row.doc, err, row.want)
		}
		if f.Text("t", 8) != "" || f.Integer("n", 0, 9) != 0 || o.Integer("m", 0, 1) != 0 || f.IsNull("n") || f.Err() != err {
			t.Errorf("%s: values after %v", row.doc, err)
		}
	}

	f := room.Fields([]byte(doc), names...)
	f.Fail("n", "is unlucky")
	f.Fail("t", "is too")
	if err := f.Err(); err == nil || err.Error() != "n is unlucky" || f.Text("t", 8) != "" {
		t.Errorf("%v", err)
	}
	for _, flag := range []string{`null`, `0`, `"true"`, `[]`} {
		f := room.Fields([]byte(`{"f":`+flag+`}`), "f")
		if f.Flag("f") || f.Err() == nil {
			t.Errorf("%s is a flag", flag)
		}
	}
	// A member that was not asked for cannot be read, so a slip of the pen shows.
	f = room.Fields([]byte(doc), names...)
	if f.Text("text", 8) != "" || f.Err() == nil {
		t.Error("a member without a name was read")
	}
}

// What failed to parse gives nothing; what parsed is within its bounds.
func FuzzFields(f *testing.F) {
	f.Add([]byte(`{"a":"x","list":["y"]}`))
	f.Add([]byte(`{"a":"x","a":"y"}`))
	f.Add([]byte(`{"a":{"a":1}}`))
	f.Add([]byte(`{"a":"x","in":{"n":7,"f":true}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := room.Fields(raw, "a", "list?", "in?")
		before := m.Err()
		text, list := m.Text("a", 8), m.Texts("list", 4, 8)
		in := m.Object("in", "n", "f")
		n, flag := in.Integer("n", 1, 9), in.Flag("f")
		if before != nil && (text != "" || list != nil || n != 0 || flag) {
			t.Fatalf("%q: members of a document that does not parse", raw)
		}
		if m.Err() != nil {
			return
		}
		if text == "" || len(text) > 8 || len(list) > 4 || slices.Contains(list, "") || n < 0 || n > 9 {
			t.Fatalf("%q: %q %q %d", raw, text, list, n)
		}
	})
}
