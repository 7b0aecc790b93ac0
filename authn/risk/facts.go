package risk

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"ecardid/identity"
)

// A Query asks for what is remembered about a sign-in.
type Query struct {
	Citizen identity.ID
	Source  []byte    // keyed hash of the sender's address
	Hold    []byte    // keyed hash of citizen and source: the name of a hold
	Since   time.Time // how far back sign-ins are looked at
	Window  time.Time // since when accounts of one source are counted
	Now     time.Time
}

// A History is the answer.
type History struct {
	// Seen are the citizen's earlier sign-ins, one for each kind of browser and place.
	Seen []Seen
	// Accounts is how many other citizens signed in from the source within the window.
	Accounts int
	// Changed is when a password, code generator, passkey or phone last changed; zero for
	// not since the first sign-in. What a citizen came in with is no change.
	Changed time.Time
	// Held is the hold there is on this citizen from this source; zero for none.
	Held Held
}

// Seen is a kind of browser at a place.
type Seen struct {
	Agent string
	Place string // an address cut to /24 or /48, as it was stored
	At    time.Time
}

// Held says which rules made a hold and until when. Once it is over it is remembered
// for [HealedFor], so that nobody is held by the same rules again at once.
type Held struct {
	Rules []string
	Until time.Time
}

// A Hold is one to be remembered.
type Hold struct {
	Key []byte
	Held
}

// HealedFor is how long the rules of a hold that is over hold nobody again.
const HealedFor = time.Hour

// Here is the sign-in being weighed.
type Here struct {
	Agent string
	Place string
	// Remembered: the browser brought its trusted-browser cookie. Known: the citizen was
	// signed in in it a moment ago.
	Remembered, Known bool
}

// Facts are what rules look at. The YAML names are those of test cases.
type Facts struct {
	// Unread: what is remembered could not be looked up.
	Unread bool `yaml:"unread"`
	// Remembered: a browser the citizen chose to have remembered.
	Remembered bool `yaml:"remembered"`
	// First: no earlier sign-in is remembered.
	First bool `yaml:"first"`
	// NewBrowser: neither remembered nor of a kind they have signed in with before.
	NewBrowser bool `yaml:"new_browser"`
	// NewPlace: they have signed in before, but never from here.
	NewPlace bool `yaml:"new_place"`
	// Place is the name of the place, Before that of the last sign-in; empty when the
	// table has none.
	Place  string `yaml:"place"`
	Before string `yaml:"before"`
	// Speed in km/h is how fast they would have had to travel since.
	Speed int `yaml:"speed"`
	// Spraying: many wrong guesses over all accounts at this time.
	Spraying bool `yaml:"spraying"`
	// Accounts of other citizens that were signed in to from this source.
	Accounts int `yaml:"accounts"`
	// Failures before this success, of the same secret.
	Failures int `yaml:"failures"`
	// Changed is how long ago a factor changed; zero for not known to have.
	Changed time.Duration `yaml:"factors_changed"`
	// Need is the level asked for.
	Need Level `yaml:"need"`
	// Healed are rules that made a hold which is over.
	Healed []string `yaml:"healed"`
	// Held is a hold that is not over.
	Held Held `yaml:"-"`
}

// Alone is a sign-in that cannot be put beside others.
func Alone(here Here, places *Places) Facts {
	return Facts{Unread: true, Remembered: here.Remembered, Place: places.Of(here.Place).Name}
}

// Compare puts a sign-in beside the ones before it.
func Compare(h History, here Here, places *Places, now time.Time) Facts {
	f := Facts{Remembered: here.Remembered, Accounts: h.Accounts, First: len(h.Seen) == 0, Place: places.Of(here.Place).Name}
	if !h.Changed.IsZero() {
		f.Changed = max(now.Sub(h.Changed), time.Second)
	}
	switch {
	case h.Held.Until.After(now):
		f.Held = h.Held
	case h.Held.Until.Add(HealedFor).After(now):
		f.Healed = h.Held.Rules
	}
	f.NewBrowser = !here.Remembered && !here.Known && !slices.ContainsFunc(h.Seen, func(s Seen) bool { return s.Agent == here.Agent })
	f.NewPlace = !f.First && !slices.ContainsFunc(h.Seen, func(s Seen) bool {
		name := places.Of(s.Place).Name
		return s.Place == here.Place || name != "" && name == f.Place
	})
	var last Seen
	for _, s := range h.Seen {
		if !s.At.Before(last.At) {
			last = s
		}
	}
	f.Before = places.Of(last.Place).Name
	f.Speed = speed(places.Of(last.Place), places.Of(here.Place), now.Sub(last.At))
	return f
}

const (
	// near is the distance below which nobody has travelled: tables are coarse, and
	// providers of mobile lines hand out addresses of the next town.
	near = 150.0
	// fastest is where counting stops: light takes less than a second.
	fastest = 1_000_000
	radius  = 6371.0
)

// speed is how fast somebody went from a to b, in km/h; 0 when it cannot be told.
func speed(a, b Place, took time.Duration) int {
	if !a.Located || !b.Located {
		return 0
	}
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	la, lb := rad(a.Latitude), rad(b.Latitude)
	half := func(x float64) float64 { s := math.Sin(x / 2); return s * s }
	h := half(lb-la) + math.Cos(la)*math.Cos(lb)*half(rad(b.Longitude-a.Longitude))
	km := 2 * radius * math.Asin(math.Sqrt(min(h, 1)))
	if km < near {
		return 0
	}
	return int(min(km/max(took, time.Minute).Hours(), fastest))
}

// A Place is a row of the operator's table.
type Place struct {
	Name                string
	Latitude, Longitude float64
	Located             bool // it has coordinates
}

// prefixOf reads a place as it was stored.
func prefixOf(place string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(place)
	return p, err == nil
}
