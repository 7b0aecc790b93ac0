package oauth

import (
	"encoding/base64"
	"net/url"
	"strings"

	"ecardid/identity"
)

// Subject types (OpenID Connect Core §8).
const (
	SubjectPairwise = "pairwise"
	SubjectPublic   = "public"
)

// publicSector stands for "everybody" where a sector's name would be. No host is
// called that.
const publicSector = "*"

// Subjects names citizens to relying parties. The key lives as long as the
// service: with another one everybody would be somebody else.
type Subjects struct{ key Keyed }

// NewSubjects takes the one key.
func NewSubjects(key []byte) (Subjects, error) {
	k, err := NewKeyed(key)
	return Subjects{k}, err
}

// IsZero reports whether there is no key.
func (s Subjects) IsZero() bool { return s.key.IsZero() }

// Subject is the citizen's sub at the client: the same for every client of one
// sector, another in the next, and never our own id. A client registered as
// public gets the sub that all public clients get.
func (s Subjects) Subject(c *Client, citizen identity.ID) string {
	sector := publicSector
	if c.SubjectType != SubjectPublic {
		sector = c.Sector()
	}
	return base64.RawURLEncoding.EncodeToString(s.key.Sum("sub", sector, string(citizen[:])))
}

// Session is the session's sid at the client: another for each client, also within
// one sector, where a sub would be the same. Empty for no session.
func (s Subjects) Session(c *Client, session identity.ID) string {
	if session.IsZero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(s.key.Sum("sid", c.ID, string(session[:])))
}

// Sector is whom the client belongs to (OpenID Connect Core §8.1): the host of
// its sector_identifier_uri, else of its https redirect URIs, which ValidateClient
// has seen to be one. Where there is no such host, as for an app on a loopback
// address, the client stands for itself.
//
// So does a client that registered itself, unless it has a sector_identifier_uri, whose
// document was read: anybody can name a host among redirect URIs, and would have the
// subjects of whoever is there.
func (c *Client) Sector() string {
	if host := httpsHost(c.SectorIdentifierURI); host != "" {
		return host
	}
	if c.Dynamic {
		return "client:" + c.ID
	}
	for _, uri := range c.RedirectURIs {
		if host := httpsHost(uri); host != "" {
			return host
		}
	}
	return "client:" + c.ID
}

func httpsHost(uri string) string {
	if !strings.HasPrefix(uri, "https://") {
		return ""
	}
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
