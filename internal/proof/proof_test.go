package proof

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// The proofs of RFC 9449 §5 and §7.1, and the thumbprint of §6.1.
const (
	atToken = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	atAPI   = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	jkt     = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

	accessToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
)

// What every way of getting a proof wrong is answered with, oauth/dpop tests.
func TestVectors(t *testing.T) {
	now := time.Unix(1562262620, 0)
	for name, c := range map[string]struct{ proof, method, token, endpoint string }{
		"§5":   {atToken, "POST", "", "https://server.example.com/token"},
		"§7.1": {atAPI, "GET", accessToken, "https://resource.example.org/protectedresource"},
	} {
		p, err := Read(c.proof)
		if err != nil || p.JKT != jkt || !Same(p.URL, c.endpoint) || p.HasNonce || len(p.Key()) != 32 {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
		if err := p.Check(c.method, c.token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if until, err := p.Fresh(Age, now); err != nil || until.Sub(now) > Age {
			t.Errorf("%s: until %v, %v", name, until, err)
		}
		for what, err := range map[string]error{
			"method": p.Check("PUT", c.token), "token": p.Check(c.method, "another"),
		} {
			if problem := Problem(""); !errors.As(err, &problem) {
				t.Errorf("%s: another %s: %v", name, what, err)
			}
		}
		if _, err := p.Fresh(Age, now.Add(2*Age)); err == nil {
			t.Errorf("%s: an old proof is fresh", name)
		}
		if _, err := p.Fresh(Age, now.Add(-time.Minute)); err == nil {
			t.Errorf("%s: a proof of the future is fresh", name)
		}
	}
}

const endpoint = "https://id.example/token"

// Two spellings that are the same URI stay so, and one that is none gives none.
func FuzzNormal(f *testing.F) {
	for _, s := range []string{endpoint, "HTTPS://ID.example:443/token?x#y", "https://[::1]:80/", "http://a:80", "https://a@b/", "//x", "https:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		n, ok := normal(uri)
		if !ok {
			if n != "" {
				t.Fatalf("%q failed and gave %q", uri, n)
			}
			return
		}
		if again, ok := normal(n); len(n) <= maxURI && (!ok || again != n) {
			t.Fatalf("%q becomes %q becomes %q", uri, n, again)
		}
		if strings.ContainsAny(n, "?#@ ") && !strings.Contains(n[8:], "/") {
			t.Fatalf("%q became %q", uri, n)
		}
	})
}
