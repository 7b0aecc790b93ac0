package signals

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
)

// limits of every document of this API. The deepest is a complex subject.
func limits() strictjson.Limits {
	return strictjson.Limits{Bytes: maxBody, Depth: 6, Twins: strictjson.TwinsNowhere}
}

func invalid(hint string) error { return fosite.ErrInvalidRequest.WithHint(hint) }

// body takes the document in.
func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return nil, invalid("The content type must be application/json.")
	}
	if media, params, err := mime.ParseMediaType(types[0]); err != nil || media != "application/json" ||
		params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, invalid("The content type must be application/json.")
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, invalid("The document is longer than 64 kB.")
	case err != nil:
		return nil, invalid("The body could not be read.")
	}
	return raw, nil
}

// parse reads the named members of one JSON object. Others are passed over, as the
// framework has it for what it does not define, but no object that two readers would
// read differently (SECURITY G8).
func parse(raw []byte, names ...string) (*strictjson.Fields, error) {
	f, err := known(raw, names...)
	if err != nil {
		return nil, invalid("The body is not one JSON object of what is expected: " + err.Error() + ".")
	}
	return f, nil
}

// known reads the named members of an object and passes over the others.
func known(raw []byte, names ...string) (*strictjson.Fields, error) {
	o, err := limits().Object(raw)
	if err != nil {
		return nil, err
	}
	kept := bytes.NewBufferString("{")
	for _, m := range o {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.TrimSuffix(n, "?") == m.Name }) {
			continue
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		if kept.Len() > 1 {
			kept.WriteByte(',')
		}
		kept.Write(name)
		kept.WriteByte(':')
		kept.Write(m.Value)
	}
	kept.WriteByte('}')
	f := limits().Fields(kept.Bytes(), names...)
	return f, f.Err()
}

// A wish is what a receiver says of its stream (Shared Signals §8.1.1); nil where it says
// nothing.
type wish struct {
	Stream      identity.ID
	Requested   *[]string
	Description *string
	Delivery    *delivery
	// ours is what the transmitter says of a stream. A receiver may say it again and has
	// to say the same (§8.1.1.3).
	ours map[string]json.RawMessage
}

type delivery struct {
	Method        string `json:"method"`
	Endpoint      string `json:"endpoint_url,omitempty"`
	Authorization string `json:"-"` // is told to nobody
}

// readWish reads a stream's configuration. One that is to be changed is named in it.
func readWish(raw []byte, change bool) (wish, error) {
	names := []string{"events_requested?", "description?", "delivery?", "iss?", "aud?", "events_supported?", "events_delivered?", "min_verification_interval?"}
	if change {
		names = append(names, "stream_id")
	}
	f, err := parse(raw, names...)
	if err != nil {
		return wish{}, err
	}
	o, err := limits().Object(raw)
	if err != nil {
		return wish{}, invalid("The body is not one JSON object.")
	}
	w := wish{ours: map[string]json.RawMessage{}}
	for _, m := range o {
		switch m.Name {
		case "stream_id":
			if change {
				// An id that cannot be one is that of no stream.
				w.Stream, _ = identity.ParseID(f.Text("stream_id", maxText))
			}
		case "events_requested":
			list := f.Texts("events_requested", maxEvents, maxText)
			w.Requested = &list
		case "description":
			text := ""
			if string(m.Value) != `""` {
				text = f.Text("description", maxText)
			}
			w.Description = &text
		case "delivery":
			if w.Delivery, err = readDelivery(m.Value); err != nil {
				return wish{}, err
			}
		case "iss", "aud", "events_supported", "events_delivered", "min_verification_interval":
			w.ours[m.Name] = m.Value
		}
	}
	if err := f.Err(); err != nil {
		return wish{}, invalid("In the stream's configuration: " + err.Error() + ".")
	}
	return w, nil
}

func readDelivery(raw []byte) (*delivery, error) {
	f, err := parse(raw, "method", "endpoint_url?", "authorization_header?")
	if err != nil {
		return nil, invalid("delivery is malformed.")
	}
	d := &delivery{Method: f.Text("method", maxText), Endpoint: f.Text("endpoint_url", maxURL), Authorization: f.Text("authorization_header", maxHeader)}
	if err := f.Err(); err != nil {
		return nil, invalid("In delivery: " + err.Error() + ".")
	}
	if strings.ContainsFunc(d.Authorization, func(c rune) bool { return c < ' ' || c > '~' }) || strings.TrimSpace(d.Authorization) != d.Authorization {
		return nil, invalid("authorization_header is not the value of a header.")
	}
	return d, nil
}

// says reports whether what a receiver repeats of ours is what we say.
func (w wish) says(v view) bool {
	if len(w.ours) == 0 {
		return true
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		return false
	}
	var said map[string]any
	if json.Unmarshal(encoded, &said) != nil {
		return false
	}
	for name, raw := range w.ours {
		var value any
		if json.Unmarshal(raw, &value) != nil || !reflect.DeepEqual(value, said[name]) {
			return false
		}
	}
	return true
}

func validStatus(s string) bool {
	return s == oauth.StreamEnabled || s == oauth.StreamPaused || s == oauth.StreamDisabled
}
