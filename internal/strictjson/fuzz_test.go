package strictjson_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"ecardid/internal/strictjson"
)

// What failed to parse returns nothing. What parsed is to encoding/json the same
// members, one for each name, whatever the letter case it is asked in; and written
// again as it was read it is the same document.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"A":2}`, `{"a":{"b":[1,"x",null]}}`, `{"\ud83d\ude00":"\u0061"}`, `{"uſe":1,"use":2}`,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`, `{"a":1}{}`, "{\"a\":\"\xff\"}", `[[[[[[]]]]]]`,
	} {
		for twins := range 3 {
			f.Add([]byte(s), twins)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, twins int) {
		l := room
		l.Twins = strictjson.Twins(twins)
		o, err := l.Object(data)
		if err != nil {
			if o != nil {
				t.Fatalf("%v, and yet %q", err, o)
			}
			return
		}
		var seen map[string]json.RawMessage
		if err := json.Unmarshal(data, &seen); err != nil || len(seen) != len(o) || len(data) > l.Bytes {
			t.Fatalf("%q: %d members, %d to encoding/json (%v)", data, len(o), len(seen), err)
		}
		var again bytes.Buffer
		again.WriteByte('{')
		for i, m := range o {
			if !bytes.Equal(seen[m.Name], m.Value) {
				t.Fatalf("%q is %s, to encoding/json %s", m.Name, m.Value, seen[m.Name])
			}
			name, err := json.Marshal(m.Name)
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 {
				again.WriteByte(',')
			}
			again.Write(append(name, ':'))
			again.Write(m.Value)
			capitals := strings.ToUpper(m.Name)
			for _, n := range o[:i] {
				if l.Twins == strictjson.TwinsNowhere && (strings.EqualFold(m.Name, n.Name) || capitals == strings.ToUpper(n.Name)) {
					t.Fatalf("%q and %q are two", m.Name, n.Name)
				}
			}
		}
		again.WriteByte('}')
		if again.Len() > l.Bytes { // names can grow when they are escaped
			return
		}
		if second, err := l.Object(again.Bytes()); err != nil || len(second) != len(o) {
			t.Fatalf("%q, written again %q: %v", data, again.Bytes(), err)
		}
	})
}
