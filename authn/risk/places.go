package risk

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a table of places. A row takes forty bytes of memory.
const (
	maxPlaces = 200_000
	maxName   = 60 // characters
	finest4   = 24 // what is kept of an address is no finer
	finest6   = 48
)

// Places says where addresses are. It is read once and safe for concurrent use.
type Places struct {
	rows  []placed // by address, the wider before the narrower
	names []Place
}

type placed struct {
	prefix netip.Prefix
	within int32 // the row this one lies in; -1: none
	place  int32
}

// ErrPlaces is what a table that cannot be read is.
var ErrPlaces = errors.New("places")

// ReadPlaces reads a table: a CSV line for each network, its name and, where speeds
// are to be judged, latitude and longitude in degrees. Lines with # are comments.
//
//	10.20.0.0/16,杭州,30.27,120.16
//	2001:db8::/32,乌鲁木齐
func ReadPlaces(r io.Reader) (*Places, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord, c.Comment, c.ReuseRecord, c.TrimLeadingSpace = -1, '#', true, true
	p := &Places{}
	known := map[Place]int32{}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPlaces, err)
		}
		line, _ := c.FieldPos(0)
		prefix, place, err := readPlace(row)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrPlaces, line, err)
		}
		if len(p.rows) >= maxPlaces {
			return nil, fmt.Errorf("%w: more than %d networks", ErrPlaces, maxPlaces)
		}
		at, ok := known[place]
		if !ok {
			at = int32(len(p.names))
			known[place] = at
			p.names = append(p.names, place)
		}
		p.rows = append(p.rows, placed{prefix: prefix, within: -1, place: at})
	}
	if err := p.nest(); err != nil {
		return nil, err
	}
	return p, nil
}

func readPlace(row []string) (netip.Prefix, Place, error) {
	if len(row) != 2 && len(row) != 4 {
		return netip.Prefix{}, Place{}, errors.New("want NETWORK,NAME or NETWORK,NAME,LATITUDE,LONGITUDE")
	}
	prefix, err := netip.ParsePrefix(strings.TrimSpace(row[0]))
	if err != nil {
		return netip.Prefix{}, Place{}, fmt.Errorf("%q is no network", row[0])
	}
	finest := finest6
	if prefix.Addr().Is4() {
		finest = finest4
	}
	switch {
	case prefix.Addr().Is4In6():
		return netip.Prefix{}, Place{}, fmt.Errorf("%s: write it as IPv4", prefix)
	case prefix != prefix.Masked():
		return netip.Prefix{}, Place{}, fmt.Errorf("%s has bits behind its length: %s?", prefix, prefix.Masked())
	case prefix.Bits() > finest:
		return netip.Prefix{}, Place{}, fmt.Errorf("%s is finer than /%d, and no more of an address is kept", prefix, finest)
	}
	p := Place{Name: strings.TrimSpace(strings.Clone(row[1]))}
	if p.Name == "" || utf8.RuneCountInString(p.Name) > maxName || !utf8.ValidString(p.Name) ||
		strings.ContainsFunc(p.Name, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }) {
		return netip.Prefix{}, Place{}, fmt.Errorf("%s: a name has 1 to %d printable characters", prefix, maxName)
	}
	if len(row) == 4 {
		var ok1, ok2 bool
		p.Latitude, ok1 = degrees(row[2], 90)
		p.Longitude, ok2 = degrees(row[3], 180)
		if p.Located = ok1 && ok2; !p.Located {
			return netip.Prefix{}, Place{}, fmt.Errorf("%s: %q,%q are no latitude and longitude in degrees", prefix, row[2], row[3])
		}
	}
	return prefix, p, nil
}

func degrees(text string, most float64) (float64, bool) {
	d, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return d, err == nil && math.Abs(d) <= most // NaN is not
}

// nest sorts the rows and notes which lies in which.
func (p *Places) nest() error {
	slices.SortFunc(p.rows, func(a, b placed) int {
		if c := a.prefix.Addr().Compare(b.prefix.Addr()); c != 0 {
			return c
		}
		return a.prefix.Bits() - b.prefix.Bits()
	})
	p.rows = slices.Clip(p.rows)
	for i := 1; i < len(p.rows); i++ {
		row := &p.rows[i]
		if row.prefix == p.rows[i-1].prefix {
			return fmt.Errorf("%w: %s is there twice", ErrPlaces, row.prefix)
		}
		at := int32(i - 1)
		for at >= 0 && !p.rows[at].prefix.Contains(row.prefix.Addr()) {
			at = p.rows[at].within
		}
		row.within = at
	}
	return nil
}

// Of is where a place as it was stored is, an address cut to /24 or /48; the zero
// Place when nobody knows.
func (p *Places) Of(place string) Place {
	if p == nil {
		return Place{}
	}
	prefix, ok := prefixOf(place)
	if !ok {
		return Place{}
	}
	at, found := slices.BinarySearchFunc(p.rows, prefix, func(row placed, want netip.Prefix) int {
		if c := row.prefix.Addr().Compare(want.Addr()); c != 0 {
			return c
		}
		return row.prefix.Bits() - want.Bits()
	})
	i := int32(at)
	if !found {
		i--
	}
	for i >= 0 && !p.rows[i].prefix.Contains(prefix.Addr()) {
		i = p.rows[i].within
	}
	if i < 0 {
		return Place{}
	}
	return p.names[p.rows[i].place]
}

// Names lists the places there are.
func (p *Places) Names() []string {
	if p == nil {
		return nil
	}
	var names []string
	for _, n := range p.names {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
