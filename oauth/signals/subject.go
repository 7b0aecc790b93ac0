package signals

import (
	"ecardid/identity"
	"ecardid/internal/strictjson"
)

type fields = strictjson.Fields

// readSubject reads whom a request to add or remove is about (RFC 9493 §3): the sub, when
// it names one of ours, and nothing for any other subject that is well-formed.
func (h *Handler) readSubject(raw []byte) (stream identity.ID, sub string, err error) {
	f, err := parse(raw, "stream_id", "subject", "verified?")
	if err != nil {
		return identity.ID{}, "", err
	}
	f.Flag("verified")
	name := f.Text("stream_id", maxText)
	if err := f.Err(); err != nil {
		return identity.ID{}, "", invalid("In the request: " + err.Error() + ".")
	}
	o, err := limits().Object(raw)
	if err != nil {
		return identity.ID{}, "", invalid("The body is not one JSON object.")
	}
	inner, _ := o.Get("subject")
	s, err := parse(inner, "format", "iss?", "sub?")
	if err != nil {
		return identity.ID{}, "", invalid("The subject is malformed.")
	}
	format := s.Text("format", maxText)
	if format == "iss_sub" {
		iss, named := s.Text("iss", maxURL), s.Text("sub", maxText)
		switch {
		case s.Err() != nil || iss == "" || named == "":
			return identity.ID{}, "", invalid("The subject lacks iss or sub.")
		case iss == h.Tokens.Issuer.Name:
			sub = named
		}
	}
	if s.Err() != nil {
		return identity.ID{}, "", invalid("The subject is malformed.")
	}
	if stream, err = identity.ParseID(name); err != nil {
		return identity.ID{}, "", identity.ErrNotFound
	}
	return stream, sub, nil
}
