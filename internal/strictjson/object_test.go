package strictjson_test

import (
	"errors"
	"strings"
	"testing"

	"ecardid/internal/strictjson"
)

var room = strictjson.Limits{Bytes: 4096, Depth: 4}

func TestObject(t *testing.T) {
	var many strings.Builder // more than are compared pair by pair
	for r := 'a'; r <= 'k'; r++ {
		many.WriteString(`"` + string(r) + `":0,`)
	}
	const taken, twice, refused = "taken", "twice", "refused"
	for _, row := range []struct {
		name, doc string
		nowhere   string // with twins nowhere, inside, anywhere
		inside    string
		anywhere  string
	}{
		{"empty", `{}`, taken, taken, taken},
		{"one", ` {"a" : 1 } ` + "\r\n\t", taken, taken, taken},
		{"all-values", `{"a":null,"b":true,"c":-1.5e3,"d":"x","e":[1,{}],"f":{"g":[]}}`, taken, taken, taken},
		{"as-deep-as-may-be", `{"a":[[[]]]}`, taken, taken, taken},
		{"too-deep-arrays", `{"a":[[[[]]]]}`, refused, refused, refused},
		{"too-deep-objects", `{"a":{"a":{"a":{"a":{}}}}}`, refused, refused, refused},
		{"absurdly-deep", strings.Repeat(`{"a":`, 800) + `1` + strings.Repeat(`}`, 96), refused, refused, refused},
		{"too-long", `{"a":"` + strings.Repeat("x", 4096) + `"}`, refused, refused, refused},
		{"long-by-space", `{}` + strings.Repeat(" ", 4095), refused, refused, refused},

		{"nothing", ``, refused, refused, refused},
		{"space", ` `, refused, refused, refused},
		{"null", `null`, refused, refused, refused},
		{"array", `[{}]`, refused, refused, refused},
		{"string", `"{}"`, refused, refused, refused},
		{"cut", `{"a":1`, refused, refused, refused},
		{"trailing-object", `{}{}`, refused, refused, refused},
		{"trailing-comma", `{"a":1,}`, refused, refused, refused},
		{"trailing-nul", "{}\x00", refused, refused, refused},
		{"byte-order-mark", "\xef\xbb\xbf{}", refused, refused, refused},
		{"comment", `{}//`, refused, refused, refused},
		{"single-quotes", `{'a':1}`, refused, refused, refused},
		{"leading-zero", `{"a":01}`, refused, refused, refused},
		{"latin-1-value", "{\"a\":\"\xe9\"}", refused, refused, refused},
		{"latin-1-name", "{\"\xe9\":1}", refused, refused, refused},
		{"utf-16", "\x00{\x00}", refused, refused, refused},
		{"raw-control", "{\"a\":\"\n\"}", refused, refused, refused},
		{"surrogate-pair", `{"a":"\ud83d\ude00","\ud83d\ude00":1}`, taken, taken, taken},
		{"half-pair-high", `{"a":"\ud83d"}`, refused, refused, refused},
		{"half-pair-low", `{"a":"\uDE00"}`, refused, refused, refused},
		{"half-pairs-backwards", `{"a":"\ude00\ud83d"}`, refused, refused, refused},
		{"half-pair-name", `{"\ud83d":1}`, refused, refused, refused},
		{"half-pair-deep", `{"a":[{"b":"\ud83dx"}]}`, refused, refused, refused},
		{"no-pair-but-a-backslash", `{"a":"\\ud83d"}`, taken, taken, taken},

		{"same-name", `{"a":1,"a":1}`, twice, twice, twice},
		{"same-name-escaped", `{"a":1,"\u0061":2}`, twice, twice, twice},
		{"same-name-inside", `{"x":{"a":1,"a":2}}`, twice, twice, twice},
		{"same-name-in-array", `{"x":[0,{"a":1,"a":2}]}`, twice, twice, twice},
		{"same-name-of-two-objects", `{"a":{"a":{"b":1}},"b":[{"a":1},{"a":1}]}`, taken, taken, taken},
		{"twins", `{"a":1,"A":2}`, twice, twice, taken},
		{"twins-inside", `{"x":{"a":1,"A":2}}`, twice, taken, taken},
		{"twins-in-array", `{"x":[{"a":1,"A":2}]}`, twice, taken, taken},
		{"long-s", `{"use":1,"uſe":2}`, twice, twice, taken},
		{"kelvin", `{"kid":1,"\u212aid":2}`, twice, twice, taken},
		{"dotless-i", `{"id":1,"ıd":2}`, twice, twice, taken},
		{"sharp-s-is-no-ss", `{"ß":1,"ss":2}`, taken, taken, taken},
		{"many", `{` + many.String() + `"z":1}`, taken, taken, taken},
		{"many-same-name", `{` + many.String() + `"a":1}`, twice, twice, twice},
		{"many-twins", `{` + many.String() + `"B":1}`, twice, twice, taken},
		{"many-twins-kelvin", `{` + many.String() + `"\u212a":1}`, twice, twice, taken},
	} {
		t.Run(row.name, func(t *testing.T) {
			for twins, want := range []string{row.nowhere, row.inside, row.anywhere} {
				l := room
				l.Twins = strictjson.Twins(twins)
				o, err := l.Object([]byte(row.doc))
				got := taken
				if doubled := new(strictjson.Twice); errors.As(err, &doubled) {
					got = twice
				} else if err != nil {
					got = refused
				}
				if got != want || err != nil && o != nil {
					t.Errorf("twins %d: %s, %v, %v; want %s", twins, got, o, err, want)
				}
			}
		})
	}
	if _, err := (strictjson.Limits{}).Object([]byte(`{}`)); err == nil {
		t.Error("the zero limits took something")
	}
}

func TestMembers(t *testing.T) {
	o, err := room.Object([]byte(`{"b": [1, 2] ,"\u0061":"x","c":{"d":1}}`))
	if err != nil || len(o) != 3 || o[0].Name != "b" || o[1].Name != "a" {
		t.Fatalf("%q, %v", o, err)
	}
	for name, want := range map[string]string{"b": `[1, 2]`, "a": `"x"`, "c": `{"d":1}`, "A": "", "d": ""} {
		if raw, ok := o.Get(name); string(raw) != want || ok != (want != "") {
			t.Errorf("%s is %s, %v", name, raw, ok)
		}
	}
	_, err = room.Object([]byte(`{"x":{"secret":1,"SECRET":2}}`))
	if twice := new(strictjson.Twice); !errors.As(err, &twice) || twice.Name != "SECRET" || strings.Contains(strings.ToLower(err.Error()), "secret") {
		t.Errorf("%v", err)
	}
}

func TestText(t *testing.T) {
	for raw, want := range map[string]string{
		`"x"`: "x", `""`: "", `"\u0041"`: "A", `"\""`: `"`, `"é"`: "é", `"\\"`: `\`,
	} {
		if s, ok := strictjson.Text([]byte(raw)); !ok || s != want {
			t.Errorf("%s is %q, %v", raw, s, ok)
		}
	}
	for _, raw := range []string{``, `"`, `x`, `null`, `1`, `["x"]`, `"x`, `"x\"`, `"a"b"`, "\"\n\"", "\"\x00\"", `"\x"`} {
		if s, ok := strictjson.Text([]byte(raw)); ok || s != "" {
			t.Errorf("%q is %q, %v", raw, s, ok)
		}
	}
}
