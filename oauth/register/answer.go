package register

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"ecardid/internal/secret"
	"ecardid/oauth"
	"ecardid/oauth/respond"
)

// answer writes the registration as it is now (RFC 7591 §3.2.1, RFC 7592 §3). A secret
// is shown when it was made and never again.
func (h *Handler) answer(w http.ResponseWriter, status int, c *oauth.Client, shown, token secret.Value) error {
	members, err := c.PublicMetadata()
	if err != nil {
		return err
	}
	add := func(name string, value any) {
		if err == nil {
			members[name], err = json.Marshal(value)
		}
	}
	if !shown.Empty() {
		add("client_secret", shown.Reveal())
		add("client_secret_expires_at", 0)
	}
	add("client_id_issued_at", c.Created.Unix())
	add("registration_access_token", token.Reveal())
	add("registration_client_uri", h.Issuer+Path+"/"+c.ID)
	if err != nil {
		return err
	}
	return respond.JSON(w, status, members)
}

// fail answers with an error: of RFC 6750 §3 where the token is what is wrong, else of
// RFC 7591 §3.2.2.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if known := new(fosite.RFC6749Error); errors.As(err, &known) && known.CodeField == http.StatusUnauthorized {
		h.Respond.BearerError(w, r, err)
		return
	}
	h.Respond.ClientError(w, r, err)
}

// refused says what is wrong with the metadata.
func refused(err error) error {
	if wrong := new(oauth.MetadataError); errors.As(err, &wrong) {
		return invalid(wrong.OAuthCode(), wrong.Error()+".")
	}
	return metadata("The registration is not one JSON object, or has a member twice.").WithWrap(err)
}

func metadata(problem string) *fosite.RFC6749Error {
	return invalid("invalid_client_metadata", problem)
}

func invalid(code, problem string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{ErrorField: code, CodeField: http.StatusBadRequest, DescriptionField: problem}
}

// tooFast refuses a source or a client that asks too often. Its retry time is a header.
func tooFast() error {
	return &fosite.RFC6749Error{
		ErrorField: "temporarily_unavailable", CodeField: http.StatusTooManyRequests,
		DescriptionField: "There were too many registrations from your address, or too many changes of this one. Try again later.",
	}
}

// outdated refuses an update that crossed another one.
func outdated() *fosite.RFC6749Error {
	return &fosite.RFC6749Error{
		ErrorField: "temporarily_unavailable", CodeField: http.StatusConflict,
		DescriptionField: "This registration was changed at the same time. Read it and try again.",
	}
}
