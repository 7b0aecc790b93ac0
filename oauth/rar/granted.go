package rar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ory/fosite"

	"ecardid/oauth"
)

// Subset returns what a token request may have of what was granted: those it asks
// for, if each of them was granted, member by member (RFC 9396 §6). Asked for
// nothing in particular is asked for everything. An amount is a fact and not a limit,
// so that a smaller one is another payment and not a narrower one.
func Subset(granted, asked json.RawMessage) (json.RawMessage, error) {
	if len(asked) == 0 {
		return granted, nil
	}
	wanted, err := array(asked)
	if err != nil {
		return nil, err
	}
	had, err := spelled(granted)
	if err != nil {
		return nil, fosite.ErrServerError.WithWrap(err)
	}
	var given []json.RawMessage
	for _, element := range wanted {
		if _, err := limits().Object(element); err != nil {
			return nil, Invalid("An element is not an object as it has to be.")
		}
		one, err := respell(element)
		if err != nil || contains(given, one) || !contains(had, one) {
			return nil, Invalid("Only what was granted can be asked for, and once.")
		}
		given = append(given, one)
	}
	return join(given), nil
}

// Carried returns what a refresh carries on of granted details: all but those that
// are good once, are of a type that exists no more, or one the client may not have
// any more. Nil when nothing is left.
func (t Types) Carried(granted json.RawMessage, client *oauth.Client) (json.RawMessage, error) {
	return t.sift(granted, func(k Type) bool { return !k.Once && k.open(client) })
}

// For returns those of granted details that are meant for one of resources: the
// others are none of its business. Nil when there are none.
func (t Types) For(granted json.RawMessage, resources []string) (json.RawMessage, error) {
	return t.sift(granted, func(k Type) bool { return slices.Contains(resources, k.Resource) })
}

// Within returns those of the details that the client may still have: a type that was
// taken from it since they were agreed to, or whose scope was, is gone (SECURITY G6, G7).
func (t Types) Within(granted json.RawMessage, client *oauth.Client) (json.RawMessage, error) {
	return t.sift(granted, func(k Type) bool { return k.open(client) })
}

func (t Types) sift(granted json.RawMessage, keep func(Type) bool) (json.RawMessage, error) {
	all, err := spelled(granted)
	if err != nil {
		return nil, err
	}
	var left []json.RawMessage
	for _, element := range all {
		if kind, ok := t.find(typeOf(element)); ok && keep(kind) {
			left = append(left, element)
		}
	}
	return join(left), nil
}

// spelled takes granted details apart, which may be none. Whoever kept them may have
// written them anew.
func spelled(granted json.RawMessage) ([]json.RawMessage, error) {
	if len(granted) == 0 {
		return nil, nil
	}
	var all []json.RawMessage
	err := json.Unmarshal(granted, &all)
	for i := 0; err == nil && i < len(all); i++ {
		all[i], err = respell(all[i])
	}
	if err != nil {
		return nil, fmt.Errorf("granted details: %w", err)
	}
	return all, nil
}

// array takes the parameter apart. Its elements are looked at one by one later.
func array(raw []byte) ([]json.RawMessage, error) {
	if len(raw) > maxBytes {
		return nil, Invalid("The parameter authorization_details is too long.")
	}
	var elements []json.RawMessage
	// null would decode to a list, too: of nothing.
	if err := json.Unmarshal(raw, &elements); err != nil || elements == nil {
		return nil, Invalid("The parameter authorization_details is not a JSON array.")
	}
	if n := len(elements); n == 0 || n > maxDetails {
		return nil, Invalid(fmt.Sprintf("The parameter authorization_details has %d elements; it takes 1 to %d.", n, maxDetails))
	}
	return elements, nil
}

// encode writes a detail in the one spelling.
func encode(d Detail) (json.RawMessage, error) {
	raw, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("writing details: %w", err)
	}
	return respell(raw)
}

// respell writes any JSON in the spelling of RFC 8785, as far as our types need it:
// encoding/json sorts the members of maps, and numbers stay as they were written.
func respell(raw []byte) (json.RawMessage, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("reading details: %w", err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("writing details: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func contains(all []json.RawMessage, one json.RawMessage) bool {
	return slices.ContainsFunc(all, func(o json.RawMessage) bool { return bytes.Equal(o, one) })
}

// join makes one array of elements that are spelled already; nil of none.
func join(elements []json.RawMessage) json.RawMessage {
	if len(elements) == 0 {
		return nil
	}
	all := []byte{'['}
	for i, e := range elements {
		if i > 0 {
			all = append(all, ',')
		}
		all = append(all, e...)
	}
	return append(all, ']')
}
