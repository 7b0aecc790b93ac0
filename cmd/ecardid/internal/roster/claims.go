package roster

import (
	"net/mail"
	"net/url"
	"strings"
	"time"

	"ecardid/internal/strictjson"
)

const (
	maxClaims  = 4 << 10 // bytes of one cell
	maxClaim   = 200     // bytes of one value
	maxAddress = 500     // bytes of one part of an address; the formatted one has several lines
)

// readClaims reads the cell of further claims: a JSON object with the standard
// claims of OpenID Connect Core §5.1 that have no column of their own, each of its
// own type, and nothing else. The empty cell has none. What is wrong is said by the
// claim's name and never by its value.
func readClaims(cell string) (map[string]any, error) {
	if strings.TrimSpace(cell) == "" {
		return nil, nil
	}
	texts := []string{"given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
		"email", "gender", "birthdate", "zoneinfo"}
	parts := []string{"formatted", "street_address", "locality", "region", "postal_code", "country"} // §5.1.1
	names := []string{"email_verified?", "address?"}
	for _, n := range texts {
		names = append(names, n+"?")
	}
	f := strictjson.Limits{Bytes: maxClaims, Depth: 2}.Fields([]byte(cell), names...)
	all := map[string]any{}
	for _, n := range texts {
		v := f.Text(n, maxClaim)
		if v == "" {
			continue
		}
		if !sound(n, v) {
			f.Fail(n, "is not one")
		}
		all[n] = v
	}
	if verified := f.Flag("email_verified"); all["email"] != nil {
		all["email_verified"] = verified // a relying party that asks is told either way
	} else if verified {
		f.Fail("email_verified", "is said of no email")
	}
	inner := make([]string, len(parts))
	for i, n := range parts {
		inner[i] = n + "?"
	}
	place := f.Object("address", inner...)
	address := map[string]any{}
	for _, n := range parts {
		if v := place.Text(n, maxAddress); v != "" {
			address[n] = v
		}
	}
	if len(address) > 0 {
		all["address"] = address
	}
	if err := f.Err(); err != nil {
		return nil, err
	}
	return all, nil
}

// sound reports whether the text can be a value of the claim.
func sound(claim, v string) bool {
	switch claim {
	case "email":
		a, err := mail.ParseAddress(v)
		return err == nil && a.Name == "" && a.Address == v
	case "profile", "picture", "website":
		u, err := url.Parse(v)
		return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil
	case "birthdate": // the year may be left out as 0000, or stand alone
		_, whole := time.Parse(time.DateOnly, v)
		_, year := time.Parse("2006", v)
		if rest, ok := strings.CutPrefix(v, "0000-"); ok {
			_, whole = time.Parse(time.DateOnly, "2000-"+rest)
		}
		return whole == nil || year == nil
	case "zoneinfo": // a name of the time zone database
		return !strings.ContainsFunc(v, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/_+-", r)
		})
	}
	return true
}
