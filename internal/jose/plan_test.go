package jose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var policy = Policy{
	Algs:      []Alg{ES256},
	NextFor:   time.Hour,
	ActiveFor: 24 * time.Hour,
	RetireFor: 2 * time.Hour,
}

func TestPlan(t *testing.T) {
	now := time.Unix(1800000000, 0)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	key := func(kid string, alg Alg, s State, d time.Duration) KeyInfo { return KeyInfo{kid, alg, s, ago(d)} }
	for _, tt := range []struct {
		name string
		keys []KeyInfo
		algs []Alg
		want []Change
	}{
		// Nobody can have cached a set that never had a key.
		{"first start", nil, []Alg{RS256, ES256, SM2, ES256},
			[]Change{{"", ES256, "", Active}, {"", RS256, "", Active}, {"", SM2, "", Active}}},
		// But a set with ES256 in it may be cached without the new one.
		{"an algorithm is added", []KeyInfo{key("a", ES256, Active, 0)}, []Alg{ES256, RS256}, []Change{{"", RS256, "", Next}}},
		// SM2 has a set of its own.
		{"SM2 is added", []KeyInfo{key("a", ES256, Active, 0)}, []Alg{ES256, SM2}, []Change{{"", SM2, "", Active}}},
		{"it waits", []KeyInfo{key("a", ES256, Active, 0), key("r", RS256, Next, 59*time.Minute)}, []Alg{ES256, RS256}, nil},
		{"and begins", []KeyInfo{key("a", ES256, Active, 0), key("r", RS256, Next, time.Hour)}, []Alg{ES256, RS256}, []Change{{"r", RS256, Next, Active}}},

		{"young", []KeyInfo{key("a", ES256, Active, 22*time.Hour)}, nil, nil},
		{"successor due", []KeyInfo{key("a", ES256, Active, 23*time.Hour)}, nil, []Change{{"", ES256, "", Next}}},
		{"successor there", []KeyInfo{key("a", ES256, Active, 23*time.Hour), key("b", ES256, Next, 0)}, nil, nil},
		{"hand over", []KeyInfo{key("a", ES256, Active, 24*time.Hour), key("b", ES256, Next, time.Hour)}, nil,
			[]Change{{"a", ES256, Active, Retired}, {"b", ES256, Next, Active}}},
		// An operator published it early, and has nothing more to do.
		{"asked for, not yet", []KeyInfo{key("a", ES256, Active, 2*time.Hour), key("b", ES256, Next, 59*time.Minute)}, nil, nil},
		{"asked for", []KeyInfo{key("a", ES256, Active, 2*time.Hour), key("b", ES256, Next, time.Hour)}, nil,
			[]Change{{"a", ES256, Active, Retired}, {"b", ES256, Next, Active}}},
		// After an outage the old key signs on until the new one was long enough in public.
		{"overdue, no successor", []KeyInfo{key("a", ES256, Active, 90*time.Hour)}, nil, []Change{{"", ES256, "", Next}}},
		{"overdue, successor young", []KeyInfo{key("a", ES256, Active, 90*time.Hour), key("b", ES256, Next, time.Minute)}, nil, nil},

		{"retired, in use", []KeyInfo{key("a", ES256, Active, 0), key("o", ES256, Retired, 119*time.Minute)}, nil, nil},
		{"retired, done", []KeyInfo{key("a", ES256, Active, 0), key("o", ES256, Retired, 2*time.Hour)}, nil, []Change{{"o", ES256, Retired, Gone}}},
		{"gone stays gone", []KeyInfo{key("a", ES256, Active, 0), key("o", ES256, Gone, 999*time.Hour)}, nil, nil},
		{"only gone ones", []KeyInfo{key("o", ES256, Gone, time.Hour)}, nil, []Change{{"", ES256, "", Active}}},

		{"algorithm dropped", []KeyInfo{key("a", ES256, Active, 0), key("r", RS256, Active, 0), key("s", RS256, Next, 0)}, nil,
			[]Change{{"r", RS256, Active, Retired}, {"s", RS256, Next, Retired}}},
		{"two active", []KeyInfo{key("a", ES256, Active, 2*time.Hour), key("b", ES256, Active, time.Hour)}, nil, []Change{{"a", ES256, Active, Retired}}},
		{"clock went back", []KeyInfo{key("a", ES256, Active, -time.Hour), key("o", ES256, Retired, -time.Hour)}, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policy
			if tt.algs != nil {
				p.Algs = tt.algs
			}
			before := slices.Clone(tt.keys)
			got, err := Plan(tt.keys, now, p)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
			if !slices.Equal(before, tt.keys) {
				t.Error("the argument was changed")
			}
		})
	}
}

func TestPolicyCheck(t *testing.T) {
	for name, change := range map[string]func(*Policy){
		"zero":            func(p *Policy) { *p = Policy{} },
		"no retirement":   func(p *Policy) { p.RetireFor = 0 },
		"never next":      func(p *Policy) { p.NextFor = 0 },
		"next too long":   func(p *Policy) { p.NextFor = p.ActiveFor },
		"negative":        func(p *Policy) { p.RetireFor = -1 },
		"unknown":         func(p *Policy) { p.Algs = append([]Alg{"HS256"}, p.Algs...) },
		"no name for alg": func(p *Policy) { p.Algs = []Alg{""} },
	} {
		p := policy
		change(&p)
		if plan, err := Plan([]KeyInfo{{"o", ES256, Retired, time.Time{}}}, time.Now(), p); err == nil || plan != nil {
			t.Errorf("%s: %v", name, plan)
		}
	}
}

// A server that plans at odd moments, stands still for days and changes its
// algorithms, and relying parties that cache for as long as they may: every token
// must verify with every key set that anybody may hold while the token lives.
func TestPlanNeverFailsAVerification(t *testing.T) {
	type moment struct {
		from, to  time.Time
		active    []string
		published []string
	}
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		p := policy
		now := time.Unix(1800000000, 0)
		var keys []KeyInfo
		var history []moment
		for step := range 300 {
			if step%60 == 30 {
				p.Algs = [][]Alg{{ES256}, {ES256, RS256}, {PS256, ES256}, {RS256, ES256}}[rnd.IntN(4)]
			}
			plan, err := Plan(keys, now, p)
			if err != nil {
				t.Fatal(err)
			}
			for n, c := range plan {
				if c.From == "" {
					keys = append(keys, KeyInfo{fmt.Sprintf("%d-%d", step, n), c.Alg, c.To, now})
					continue
				}
				i := slices.IndexFunc(keys, func(k KeyInfo) bool { return k.KeyID == c.KeyID && k.State == c.From })
				if i < 0 {
					t.Fatalf("seed %d: change of nothing: %v", seed, c)
				}
				keys[i].State, keys[i].Since = c.To, now
			}
			keys = slices.DeleteFunc(keys, func(k KeyInfo) bool { return k.State == Gone })
			m := moment{from: now}
			perAlg := map[Alg]int{}
			for _, k := range keys {
				m.published = append(m.published, k.KeyID)
				if k.State == Active {
					perAlg[k.Alg]++
					m.active = append(m.active, k.KeyID)
				}
			}
			if perAlg[ES256] != 1 || len(keys) > 12 {
				t.Fatalf("seed %d: keys %v", seed, keys)
			}
			switch rnd.IntN(10) {
			case 0:
				now = now.Add(time.Duration(rnd.Int64N(int64(72 * time.Hour))))
			default:
				now = now.Add(time.Duration(rnd.Int64N(int64(time.Hour))))
			}
			m.to = now
			history = append(history, m)
		}
		for _, signed := range history {
			for _, fetched := range history {
				inTime := fetched.to.After(signed.from.Add(-p.NextFor)) && fetched.from.Before(signed.to.Add(p.RetireFor))
				for _, kid := range signed.active {
					if inTime && !slices.Contains(fetched.published, kid) {
						t.Fatalf("seed %d: signed with %s at %v, missing from a set of %v", seed, kid, signed.from, fetched.from)
					}
				}
			}
		}
	}
}
