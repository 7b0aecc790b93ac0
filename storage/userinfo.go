package storage

import (
	"context"
	"time"

	"ecardid/identity"
	"ecardid/internal/seal"
	"ecardid/oauth"
)

// claimColumns says which sealed column holds a claim's value. A claim that is
// not here has none.
func claimColumns() map[string]string {
	return map[string]string{
		"name":         "name",
		"phone_number": "phone",
		"card_number":  "card_number",
		"id_number":    "id_number",
	}
}

// UserInfo implements oauth.Tokens. It reads one row and opens only the columns
// that the claims asked for need.
func (s *Store) UserInfo(ctx context.Context, token []byte, grant identity.ID, claims []string, now time.Time) (oauth.TokenInfo, oauth.Person, error) {
	sealedCols := map[string]*[]byte{"name": new([]byte), "phone": new([]byte), "card_number": new([]byte), "id_number": new([]byte)}
	var updated int64
	var locale string
	more := []any{&updated, &locale, sealedCols["name"], sealedCols["phone"], sealedCols["card_number"], sealedCols["id_number"]}
	const columns = `, c.updated_at, c.locale, c.name, c.phone, c.card_number, c.id_number `

	var t oauth.TokenInfo
	var err error
	if token != nil {
		t, err = scanToken(s.db.queryRow(ctx, `SELECT `+grantColumns+tokenColumns+columns+tokenFrom+aliveAt("$2"), token, ms(now)), more...)
	} else {
		t.Grant, err = scanGrant(s.db.queryRow(ctx, `SELECT `+grantColumns+columns+grantFrom+aliveAt("$2"), bin(grant), ms(now)), more...)
	}
	if err != nil {
		return oauth.TokenInfo{}, oauth.Person{}, notFound(err, "reading userinfo")
	}
	p := oauth.Person{Citizen: t.Grant.Citizen, Claims: map[string]any{}, Updated: at(updated)}
	from := claimColumns()
	for _, claim := range claims {
		switch claim {
		case "locale":
			p.Claims[claim] = locale
			continue
		case "updated_at":
			p.Claims[claim] = p.Updated.Unix()
			continue
		case "phone_number_verified":
			// The number comes from the card's issuer, not from the citizen.
			p.Claims[claim] = true
			continue
		}
		column, ok := from[claim]
		if !ok {
			continue
		}
		plain, err := s.unsealed(seal.PII, "citizens", column, t.Grant.Citizen[:], *sealedCols[column])
		if err != nil {
			return oauth.TokenInfo{}, oauth.Person{}, known(err, "opening userinfo")
		}
		p.Claims[claim] = string(plain)
	}
	return t, p, nil
}
