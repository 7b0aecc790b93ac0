package rar

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
)

const (
	maxBytes   = 8 << 10 // five payments with everything take less than three
	maxDetails = 5       // more than a person reads before agreeing
	maxDepth   = 8
)

func limits() strictjson.Limits { return strictjson.Limits{Bytes: maxBytes, Depth: maxDepth} }

// A Type is a kind of details and the rules for all of its kind.
type Type struct {
	Name string
	// Scope says who may ask: clients that have it under their ceiling. What type a
	// client may use is otherwise its own to say, when it registers itself (SECURITY CA5).
	Scope string
	// Level is the least assurance of a login that may agree to one.
	Level identity.Level
	// Fresh: the citizen proves who they are for this request, whatever was proved
	// before it came. A single sign-on agrees to nothing.
	Fresh bool
	// Once: good for the first access token only, as the catalogue's once.
	Once bool
	// Resource is the audience they are meant for.
	Resource string
	// Read reads one element, of which the member type is right already. It takes
	// every member there is to take and refuses the others.
	Read func(element []byte, limits strictjson.Limits) (Detail, error)
}

// A Detail is one element that was read. Encoded as JSON it has all members again
// that were read, type included.
type Detail interface {
	// Show puts it onto the page that asks.
	Show(v *oauth.ConsentView)
	// Words say it on one line, for a screen that shows nothing else. What the client
	// wrote freely comes last in it.
	Words(locale string) string
}

// Types are those that exist. The zero Types has none and refuses all.
type Types struct{ list []Type }

// New returns the types there are from now on.
func New(types ...Type) (Types, error) {
	for i, t := range types {
		twice := slices.ContainsFunc(types[:i], func(o Type) bool { return o.Name == t.Name })
		if t.Name == "" || t.Scope == "" || t.Read == nil || t.Resource == "" || twice {
			return Types{}, fmt.Errorf("authorization_details: the type %q is incomplete or there twice", t.Name)
		}
	}
	return Types{slices.Clone(types)}, nil
}

// Shipped are the types inside the binary.
func Shipped() Types { return Types{[]Type{InsurancePayment()}} }

// Names lists them, for the metadata (RFC 9396 §10).
func (t Types) Names() []string {
	names := make([]string, len(t.list))
	for i, one := range t.list {
		names[i] = one.Name
	}
	return names
}

// Scopes are the types with the scope of each, for an oauth.Offer.
func (t Types) Scopes() map[string]string {
	scopes := make(map[string]string, len(t.list))
	for _, one := range t.list {
		scopes[one.Name] = one.Scope
	}
	return scopes
}

// open reports whether the client may have details of this type: it was registered
// with the type, and its ceiling has the type's scope.
func (t Type) open(client *oauth.Client) bool {
	return slices.Contains(client.DetailsTypes, t.Name) && client.Allows(t.Scope)
}

func (t Types) find(name string) (Type, bool) {
	i := slices.IndexFunc(t.list, func(one Type) bool { return one.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return t.list[i], true
}

// Details are what one request asks for. The zero Details ask for nothing.
type Details struct {
	items []item
	raw   json.RawMessage
}

type item struct {
	kind   Type
	detail Detail
}

// Invalid is invalid_authorization_details (RFC 9396 §5).
func Invalid(hint string) *fosite.RFC6749Error {
	return &fosite.RFC6749Error{
		ErrorField: "invalid_authorization_details", CodeField: http.StatusBadRequest,
		DescriptionField: "The parameter authorization_details is not acceptable.", HintField: hint,
	}
}

// Parse reads the parameter as sent; without one there are no details. Nothing that
// is half right is taken (RFC 9396 §5).
func (t Types) Parse(raw string, client *oauth.Client) (Details, error) {
	if raw == "" {
		return Details{}, nil
	}
	elements, err := array([]byte(raw))
	if err != nil {
		return Details{}, err
	}
	var d Details
	var spelled []json.RawMessage
	for _, element := range elements {
		kind, ok := t.find(typeOf(element))
		if !ok || !kind.open(client) {
			return Details{}, Invalid("The client may not ask for details of this type.")
		}
		detail, err := kind.Read(element, limits())
		if err != nil {
			return Details{}, Invalid("Of type " + kind.Name + ": " + err.Error() + ".")
		}
		one, err := encode(detail)
		if err != nil {
			return Details{}, fosite.ErrServerError.WithWrap(err)
		}
		if contains(spelled, one) {
			// Nobody could say afterwards whether they agreed to it once or twice.
			return Details{}, Invalid("The same details are there twice.")
		}
		spelled = append(spelled, one)
		d.items = append(d.items, item{kind, detail})
	}
	d.raw = join(spelled)
	return d, nil
}

// typeOf reads the one member that all details have (RFC 9396 §2).
func typeOf(element []byte) string {
	o, err := limits().Object(element)
	if err != nil {
		return ""
	}
	value, _ := o.Get("type")
	name, _ := strictjson.Text(value)
	return name
}

// IsZero reports whether nothing is asked for.
func (d Details) IsZero() bool { return len(d.items) == 0 }

// JSON is the one spelling; nil for none.
func (d Details) JSON() json.RawMessage { return slices.Clone(d.raw) }

// Digest is SHA-256 of the spelling, in base64url.
func (d Details) Digest() string {
	sum := sha256.Sum256(d.raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Level is the least assurance that all of them together ask for.
func (d Details) Level() identity.Level {
	least := identity.LevelNone
	for _, i := range d.items {
		least = max(least, i.kind.Level)
	}
	return least
}

// Fresh reports whether one of them asks for proof anew.
func (d Details) Fresh() bool {
	return slices.ContainsFunc(d.items, func(i item) bool { return i.kind.Fresh })
}

// Scopes lists the scopes whose holders may ask for them: what is said of one of those
// is said of the details as well.
func (d Details) Scopes() []string {
	var all []string
	for _, i := range d.items {
		if i.kind.Scope != "" && !slices.Contains(all, i.kind.Scope) {
			all = append(all, i.kind.Scope)
		}
	}
	return all
}

// Resources lists the audiences they are meant for.
func (d Details) Resources() []string {
	var all []string
	for _, i := range d.items {
		if !slices.Contains(all, i.kind.Resource) {
			all = append(all, i.kind.Resource)
		}
	}
	return all
}

// Show puts them onto the page that asks.
func (d Details) Show(v *oauth.ConsentView) {
	for _, i := range d.items {
		i.detail.Show(v)
	}
}

// Words say all of them, one on a line.
func (d Details) Words(locale string) string {
	lines := make([]string, len(d.items))
	for n, i := range d.items {
		lines[n] = i.detail.Words(locale)
	}
	return strings.Join(lines, "\n")
}
