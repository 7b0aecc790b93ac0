package roster_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ecardid/cmd/ecardid/internal/roster"
	"ecardid/internal/secret"
)

var now = time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)

const header = "name,id_number,phone,card_number\n"

func TestRead(t *testing.T) {
	const wang = "王秀英,11010519491231002X,13800001111,A12345678\n"
	for _, test := range []struct {
		name, table string
		people      int
		problems    string // joined by "; "
		err         string
	}{
		{"plain", header + wang, 1, "", ""},
		{"any-order-and-a-bom", "\ufeffcard_number, Phone ,name,id_number\na1234 5678,+86 138-0000-1111,阿依古丽·买买提,440524188001010014\n", 1, "", ""},
		{"crlf-and-quotes", "name,id_number,phone,card_number\r\n\"王秀英\",11010519491231002x,13800001111,A12345678\r\n", 1, "", ""},
		{"every-cell-wrong", header + "=1+1,110105194912310021,12345,A1\n", 0,
			"row 2: name: does not begin with a letter; row 2: id_number: check character does not fit; row 2: phone: not of the right form; row 2: card_number: not of the right form", ""},
		{"good-and-bad", header + wang + "李,110105194902310026,13800001112,B12345678\n", 1, "row 3: id_number: no such date of birth", ""},
		{"twice", header + wang + "李,440524188001010014,13800001111,a12345678\n", 1, "row 3: phone: the same as in row 2; row 3: card_number: the same as in row 2", ""},
		{"too-few-cells", header + "王秀英,1\n" + wang, 1, "row 2: 2 cells under a header of 4", ""},
		{"lost-quote", header + "\"王秀英,1,2,3\n" + wang, 0, "row 2: broken quotation marks; the rest was not looked at", ""},
		{"hidden-direction", header + "王\u202e英,11010519491231002X,13800001111,A12345678\n", 0, "row 2: name: has a character that no name has", ""},
		{"long-name", header + strings.Repeat("长", 61) + ",11010519491231002X,13800001111,A12345678\n", 0, "row 2: name: longer than 60 characters", ""},
		{"claims", "claims," + header + `"{""email"":""a@b.example""}",` + wang, 1, "", ""},
		{"claims-that-are-none", "claims," + header + `"{""sub"":""x""}",` + wang, 0, "row 2: claims: a member that does not belong here", ""},
		{"claims-instead-of-a-number", "name,id_number,phone,claims\nx,1,2,{}\n", 0, "", "the header needs"},
		{"empty", "", 0, "", "no header"},
		{"header-only", header, 0, "", "no rows"},
		{"column-missing", "name,phone\nx,y\n", 0, "", "the header needs"},
		{"column-unknown", "name,id_number,phone,card_number,password\n", 0, "", "column 5 of the header"},
		{"column-twice", "name,name,phone,card_number\n", 0, "", "twice"},
		{"gbk", "name,id_number,phone,card_number\n\xcd\xf5,1,2,3\n", 0, "", "not UTF-8"},
		{"too-long", header + strings.Repeat("x", roster.MaxBytes), 0, "", "longer than 4 MiB"},
		{"too-many", header + strings.Repeat("x,1,2,3\n", roster.MaxRows+1), 0, "", "more than 10000 rows"},
	} {
		t.Run(test.name, func(t *testing.T) {
			people, problems, err := roster.Read(strings.NewReader(test.table), now)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) || people != nil || problems != nil {
					t.Fatalf("got %d people, %v, %v; want an error with %q", len(people), problems, err, test.err)
				}
				return
			}
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			if err != nil || len(people) != test.people || strings.Join(said, "; ") != test.problems {
				t.Errorf("got %d people, %q, %v", len(people), strings.Join(said, "; "), err)
			}
		})
	}
}

func TestCodesAreForOneReaderAndNoFormula(t *testing.T) {
	people, _, err := roster.Read(strings.NewReader(header+"王秀英,11010519491231002X,13800001111,A12345678\n"), now)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := roster.WriteCodes(&out, []roster.Code{{Person: people[0], Code: secret.Of("ABCD-EFGH"), Expires: now}}); err != nil {
		t.Fatal(err)
	}
	want := "row,name,card_number,code,valid_until\n2,王**,A******78,ABCD-EFGH,2026-05-04T08:00:00Z\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	for in, want := range map[string]string{"=1": "'=1", "@x": "'@x", "-1": "'-1", "\tx": "'\tx", "王": "王", "": ""} {
		if got := roster.Cell(in); got != want {
			t.Errorf("Cell(%q) = %q, want %q", in, got, want)
		}
	}
	path := filepath.Join(t.TempDir(), "codes.csv")
	f, err := roster.NewFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := roster.NewFile(path); err == nil {
		t.Error("codes that may still be good were overwritten")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("a file that was not kept is still there")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(header + "王秀英,11010519491231002X,13800001111,A12345678\n"))
	f.Add([]byte("claims," + header + `"{""email"":""a@b.example"",""address"":{""country"":""CN""}}",王秀英,11010519491231002X,13800001111,A12345678`))
	f.Add([]byte("\ufeff\"name\",id_number,phone,card_number\n\"a\nb\",1,2,3\n"))
	f.Fuzz(func(t *testing.T, table []byte) {
		people, problems, err := roster.Read(bytes.NewReader(table), now)
		if err != nil && (people != nil || problems != nil) {
			t.Error("what failed to parse returned something")
		}
		for _, p := range people {
			if p.Name == "" || p.ID.IsZero() || p.Phone.IsZero() || p.Card.IsZero() || p.Row < 2 {
				t.Errorf("an incomplete person: row %d", p.Row)
			}
		}
		for _, p := range problems {
			// A report repeats no value: whatever was in the table, these are its words.
			if len(fmt.Sprint(p)) > 120 {
				t.Errorf("a long report: %q", p)
			}
		}
	})
}

func TestClaims(t *testing.T) {
	const row = `,王秀英,11010519491231002X,13800001111,A12345678` + "\n"
	for _, test := range []struct {
		name, cell, problem string // no problem: they are read as they stand
	}{
		{"none", ``, ""},
		{"an-empty-object", `{}`, ""},
		{"all", `{"given_name":"秀英","family_name":"王","middle_name":"a","nickname":"b","preferred_username":"c","profile":"https://a.example/p",
 "picture":"https://a.example/x.png","website":"https://a.example","email":"a@b.example","email_verified":true,"gender":"female","birthdate":"1949-12-31",
 "zoneinfo":"Asia/Shanghai","address":{"formatted":"一\n二","street_address":"一","locality":"北京","region":"北京","postal_code":"100000","country":"CN"}}`, ""},
		{"a-year", `{"birthdate":"1949"}`, ""},
		{"a-day-of-no-year", `{"birthdate":"0000-02-29"}`, ""},
		{"what-has-a-column", `{"name":"x"}`, "belong here"},
		{"who-somebody-is", `{"sub":"x"}`, "belong here"},
		{"what-the-server-says", `{"acr":"x"}`, "belong here"},
		{"a-list", `["email"]`, "claims: "},
		{"twice", `{"gender":"a","gender":"b"}`, "twice"},
		{"null", `{"email":null}`, "email "},
		{"a-number", `{"nickname":7}`, "nickname "},
		{"verified-text", `{"email":"a@b.example","email_verified":"true"}`, "email_verified "},
		{"verified-nothing", `{"email_verified":true}`, "email_verified "},
		{"no-address", `{"email":"Wang <a@b.example>"}`, "email "},
		{"no-date", `{"birthdate":"1949-02-30"}`, "birthdate "},
		{"script", `{"website":"javascript:alert(1)"}`, "website "},
		{"plain-http", `{"picture":"http://a.example"}`, "picture "},
		{"zone", `{"zoneinfo":"../etc"}`, "zoneinfo "},
		{"part-of-an-address", `{"address":{"planet":"x"}}`, "belong here"},
		{"text-as-address", `{"address":"北京"}`, "address"},
		{"long", `{"nickname":"` + strings.Repeat("x", 300) + `"}`, "nickname "},
	} {
		t.Run(test.name, func(t *testing.T) {
			people, problems, err := roster.Read(strings.NewReader("claims,"+header+`"`+strings.ReplaceAll(test.cell, `"`, `""`)+`"`+row), now)
			if err != nil {
				t.Fatal(err)
			}
			if test.problem != "" {
				if len(problems) != 1 || len(people) != 0 || !strings.Contains(problems[0].Reason, test.problem) {
					t.Errorf("got %v, %v", people, problems)
				}
				return
			}
			if len(problems) != 0 || len(people) != 1 {
				t.Fatalf("got %v, %v", people, problems)
			}
			var want map[string]any
			if test.cell != "" {
				if err := json.Unmarshal([]byte(test.cell), &want); err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(people[0].Claims, want) {
				t.Errorf("got %v, want %v", people[0].Claims, want)
			}
		})
	}
}
