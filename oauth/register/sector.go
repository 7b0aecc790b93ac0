package register

import (
	"context"
	"encoding/json"
	"slices"

	"ecardid/oauth"
)

// sector holds the client to its sector (OpenID Connect Registration §5): the document
// at sector_identifier_uri is an array that has every one of its redirect URIs. Nobody
// gets another's pairwise subjects by naming another's host.
func (h *Handler) sector(ctx context.Context, c *oauth.Client) error {
	if c.SectorIdentifierURI == "" {
		return nil
	}
	body, _, err := h.Fetch.Get(ctx, c.SectorIdentifierURI, mediaType)
	if err != nil {
		return metadata("sector_identifier_uri could not be fetched.").WithWrap(err)
	}
	listed, ok := uris(body)
	if !ok {
		return metadata("sector_identifier_uri does not lead to a JSON array of URIs.")
	}
	if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !slices.Contains(listed, uri) }) {
		return metadata("sector_identifier_uri leads to a list without some of the redirect_uris.")
	}
	return nil
}

// callable refuses addresses that we would call and may not: a stranger's registration
// does not say where we go (SECURITY SR1). The same is asked again at each call.
func (h *Handler) callable(ctx context.Context, c *oauth.Client) error {
	for _, called := range []struct{ member, uri string }{
		{"jwks_uri", c.JWKSURI}, {"sector_identifier_uri", c.SectorIdentifierURI}, {"backchannel_logout_uri", c.BackChannelLogoutURI},
	} {
		if called.uri != "" && (h.Fetch == nil || !h.Fetch.Calls(ctx, called.uri)) {
			return metadata(called.member + " cannot be used: the host is not on this server's list.")
		}
	}
	return nil
}

// uris reads the document. What failed to parse returns nothing.
func uris(body []byte) ([]string, bool) {
	var listed []string
	if err := json.Unmarshal(body, &listed); err != nil || listed == nil {
		return nil, false
	}
	return listed, true
}
