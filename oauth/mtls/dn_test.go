package mtls

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
)

// printed is a Name as a CA writes it, in the order of the certificate.
func printed(t testing.TB, rdns ...[]pkix.AttributeTypeAndValue) []byte {
	t.Helper()
	var seq pkix.RDNSequence
	for _, r := range rdns {
		seq = append(seq, pkix.RelativeDistinguishedNameSET(r))
	}
	der, err := asn1.Marshal(seq)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func one(oid asn1.ObjectIdentifier, value any) []pkix.AttributeTypeAndValue {
	return []pkix.AttributeTypeAndValue{{Type: oid, Value: value}}
}

func TestSameDN(t *testing.T) {
	c, o, ou := asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 11}
	cn, email := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	uid := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	plain := printed(t, one(c, "CN"), one(o, "Clinic"), one(cn, "app 1"))
	utf8 := asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte("Clinic")}
	many := printed(t, one(c, "CN"), append(one(uid, "7"), one(cn, "app")...))
	odd := printed(t, one(o, `a,b+c"d\e<f>g;h=i`), one(ou, " #x "), one(cn, "医院"))
	for _, k := range []struct {
		name       string
		registered string
		der        []byte
		want       bool
		fails      bool
	}{
		{"rfc4514", "CN=app 1,O=Clinic,C=CN", plain, true, false},
		{"java", "CN=app 1, O=Clinic, C=CN", plain, true, false},
		{"openssl-space-equals", "CN = app 1, O = Clinic, C = CN", plain, true, false},
		{"keyword-case", "cn=app 1,o=Clinic,c=CN", plain, true, false},
		{"oids", "2.5.4.3=app 1,OID.2.5.4.10=Clinic,oid.2.5.4.6=CN", plain, true, false},
		{"escaped-letters", `CN=app\201,O=\43linic,C=CN`, plain, true, false},
		{"hex-value", `CN=app 1,O=#0c06436c696e6963,C=CN`, plain, true, false},
		{"hex-printable", `CN=app 1,O=#1306436C696E6963 ,C=CN`, plain, true, false},
		{"string-type-of-the-ca", "CN=app 1,O=Clinic,C=CN", printed(t, one(c, "CN"), one(o, utf8), one(cn, "app 1")), true, false},
		{"many-valued", "CN=app+UID=7,C=CN", many, true, false},
		{"many-valued-other-order", "UID=7 + CN=app,C=CN", many, true, false},
		{"many-valued-apart", "UID=7,CN=app,C=CN", many, false, false},
		{"email", "EMAILADDRESS=a@b.example,CN=x", printed(t, one(cn, "x"), one(email, asn1.RawValue{Tag: asn1.TagIA5String, Bytes: []byte("a@b.example")})), true, false},
		{"escapes", `CN=医院,OU=\ #x\ ,O=a\,b\+c\"d\\e\<f\>g\;h=i`, odd, true, false},
		{"escapes-in-octets", `CN=\E5\8C\BB\E9\99\A2,OU=\20\23x\20,O=a\2Cb\2Bc\22d\5Ce\3Cf\3Eg\3Bh\3Di`, odd, true, false},

		// The order of RDNs is part of the name.
		{"certificate-order", "C=CN,O=Clinic,CN=app 1", plain, false, false},
		{"value-case", "CN=App 1,O=Clinic,C=CN", plain, false, false},
		{"value-blanks", "CN=app  1,O=Clinic,C=CN", plain, false, false},
		{"shorter", "CN=app 1,O=Clinic", plain, false, false},
		{"longer", "CN=app 1,O=Clinic,C=CN,DC=x", plain, false, false},
		{"other-type", "CN=app 1,OU=Clinic,C=CN", plain, false, false},
		{"injected", `CN=app 1\,O=Clinic,C=CN`, plain, false, false},
		{"not-a-text", "CN=1", printed(t, one(cn, 1)), false, true},
		{"no-name", "CN=app 1", nil, false, true},

		{"empty", "", plain, false, true},
		{"empty-value", "CN=,O=Clinic", plain, false, true},
		{"no-equals", "app 1", plain, false, true},
		{"ends-in-comma", "CN=app 1,", plain, false, true},
		{"ends-in-plus", "CN=app 1+", plain, false, true},
		{"starts-with-comma", ",CN=app 1", plain, false, true},
		{"ends-in-backslash", `CN=app\`, plain, false, true},
		{"escape-of-a-letter", `CN=app\xyz`, plain, false, true},
		{"quoted", `CN="app 1",O=Clinic,C=CN`, plain, false, true},
		{"semicolons", "CN=app 1;O=Clinic;C=CN", plain, false, true},
		{"unknown-keyword", "XX=app", plain, false, true},
		{"oid-with-zeros", "2.05.4.3=app", plain, false, true},
		{"hex-odd", "CN=#0", plain, false, true},
		{"hex-of-a-number", "CN=#020101", plain, false, true},
		{"hex-with-more", "CN=#0c0161ff", plain, false, true},
		{"not-utf8", "CN=\xff", plain, false, true},
		{"not-utf8-escaped", `CN=\ff`, plain, false, true},
		{"nul", "CN=a\x00", plain, false, true},
		{"long", "CN=" + strings.Repeat("x", maxDN), plain, false, true},
		{"slashes", "/C=CN/O=Clinic/CN=app 1", plain, false, true},
	} {
		t.Run(k.name, func(t *testing.T) {
			got, err := sameDN(k.registered, k.der)
			if got != k.want || (err != nil) != k.fails {
				t.Errorf("%v, %v; want %v, an error: %v", got, err, k.want, k.fails)
			}
		})
	}
}

// A name that was read is written in one way, and reads the same again.
func FuzzDN(f *testing.F) {
	for _, s := range []string{"CN=app 1,O=Clinic,C=CN", `CN=a\,b+UID=\20x\20, O = #0c0161`, "2.5.4.3=x", `CN=\ `, "CN="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := parseDN(s)
		if err != nil {
			if name != nil {
				t.Fatalf("%q failed and gave %v", s, name)
			}
			return
		}
		var b strings.Builder
		for i, r := range name {
			for j, a := range r {
				switch {
				case j > 0:
					b.WriteByte('+')
				case i > 0:
					b.WriteByte(',')
				}
				b.WriteString(a.oid + "=")
				for _, c := range []byte(a.value) {
					b.WriteByte('\\')
					b.WriteString(string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
				}
			}
		}
		again, err := parseDN(b.String())
		if b.Len() <= maxDN && (err != nil || !slices.EqualFunc(again, name, slices.Equal[rdn])) {
			t.Fatalf("%q reads as %v and then as %v, %v", s, name, again, err)
		}
	})
}
