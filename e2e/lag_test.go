package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"ecardid/audit"
	"ecardid/authn/loss"
	"ecardid/e2e/house"
	"ecardid/identity"
	"ecardid/internal/jose"
	"ecardid/oauth"
)

// suspension is the one door that is not shut by a statement: clients are kept in memory
// and every replica is told (DESIGN D3).
const suspension = "client-suspended"

// Limits of what somebody may still do after the acknowledgement.
const (
	lagOfDatabase = 0               // the statement that would let them in sees it
	lagOfMemory   = 5 * time.Second // NOTIFY, with the renewal as the net
	lagOfSignals  = 5 * time.Second // receivers look at nothing: they are told
)

// signal is the line about them.
const signal = "signal-told"

// spare is how many codes and pushed requests there are to knock with: each is used up by
// being let in.
const spare = 30

// TestRevocationLag measures, door by door, how long after the acknowledgement of a loss
// somebody was last let in, with knocks at both replicas of one PostgreSQL all the
// time, and how soon a receiver of signals was told. `make bench` runs it with more
// rounds and prints the table.
func TestRevocationLag(t *testing.T) {
	if rounds(t) == 1 {
		t.Parallel() // nobody reads the figures
	}
	receiver := house.NewReceiver(t)
	h := house.Open(t, house.Options{Postgres: true, Replicas: 2, Outbound: receiver.Outbound})
	p := partiesOf(t, h, "doors", map[string]any{
		"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "scope": house.AllScopes + " ssf.read ssf.manage",
	})
	listen(t, h, p.p, receiver)
	lags := map[string][]time.Duration{}
	knocks := map[string]int{}
	for round := range rounds(t) + 1 {
		measure := func(door string, tries []knock, ended time.Time) {
			before, last := false, time.Duration(0)
			for _, k := range tries {
				switch {
				case k.began.After(ended):
					knocks[door]++
					if k.accepted {
						last = max(last, k.began.Sub(ended))
					}
				case k.accepted:
					before = true
				}
			}
			if !before {
				t.Errorf("round %d: %s let nobody in while it was open", round, door)
			}
			lags[door] = append(lags[door], last)
		}
		e := settle(t, h, p, spare)
		what := []loss.What{loss.Phone, loss.Card}[round%2]
		earlier := 0 // signals that are of something before
		tries, ended := e.knocking(doors(), func() error {
			key := identity.NewID()
			earlier = len(receiver.Since(0))
			return h.Store.ReportLoss(t.Context(), loss.Report{Citizen: e.c.ID, What: what, Key: key[:]},
				audit.Event{Kind: audit.LossReported, At: h.Clock.Now(), Actor: audit.ByOperator, Citizen: e.c.ID, Reason: "test"})
		}, 250*time.Millisecond)
		for door, all := range tries {
			measure(door, all, ended)
		}
		told, n := hear(t, h, receiver, e, earlier, ended)
		lags[signal], knocks[signal] = append(lags[signal], told), knocks[signal]+n

		id := fmt.Sprint("machine-", round)
		machine := h.Relying(t, id, map[string]any{
			"grant_types": []string{"client_credentials"}, "redirect_uris": []string{}, "response_modes": []string{}, "scope": "card.status",
		})
		tries, ended = (&everything{t: t, h: h}).knocking([]door{{name: suspension, open: func(_ *everything, n int) bool {
			return machine.Token(h.Replicas[n%len(h.Replicas)], url.Values{"grant_type": {"client_credentials"}}).Status == http.StatusOK
		}}}, func() error {
			now := h.Clock.Now()
			return h.Store.SuspendClient(t.Context(), id, now, audit.Event{Kind: audit.ClientSuspended, At: now, Actor: audit.ByOperator, Client: id, Reason: "test"})
		}, time.Second)
		measure(suspension, tries[suspension], ended)
	}

	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nLast accepted, or told, after the acknowledgement, in ms; two replicas, PostgreSQL, %d rounds.\n", rounds(t)+1)
	fmt.Fprint(w, "door\tknocks or signals after\tp50\tp99\tmax\tmost\t\n")
	for _, door := range append(strings.Fields(allOpen()), suspension, signal) {
		most := time.Duration(lagOfDatabase)
		switch door {
		case suspension:
			most = lagOfMemory
		case signal:
			most = lagOfSignals
		}
		all := slices.Sorted(slices.Values(lags[door]))
		at := func(share float64) time.Duration { return all[min(int(share*float64(len(all))), len(all)-1)] }
		worst, word := all[len(all)-1], "ok"
		if worst > most {
			word = "MISSED"
			t.Errorf("%s: %v after the acknowledgement, at most %v is promised", door, worst, most)
		}
		if knocks[door] == 0 {
			t.Errorf("%s: nobody knocked after the acknowledgement", door)
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.0f %s\t\n", door, knocks[door], ms(at(.5)), ms(at(.99)), ms(worst), ms(most), word)
	}
	_ = w.Flush() // to a strings.Builder
	t.Log(out.String())
}

// knocking has somebody at each door and replica, who goes on for a while after the end,
// and returns what each door did. ended is when the end was acknowledged.
func (e *everything) knocking(all []door, end func() error, after time.Duration) (tries map[string][]knock, ended time.Time) {
	e.t.Helper()
	tries = map[string][]knock{}
	let := map[string]bool{} // somebody in, so far
	var mu sync.Mutex
	var everybody sync.WaitGroup
	stop := make(chan struct{})
	for _, d := range all {
		at := []int{0, 1}
		if d.name == "passkey" {
			at = []int{-1} // one key has one counter: whoever has it goes from the one to the other
		}
		for _, replica := range at {
			everybody.Go(func() {
				for n := 0; ; n++ {
					pause := 2 * time.Millisecond
					if d.once {
						pause = 50 * time.Millisecond // there are so many to knock with
						if d.name != "passkey" && e.spent(d.name) {
							return
						}
					}
					select {
					case <-stop:
						return
					case <-time.After(pause):
					}
					where := replica
					if where < 0 {
						where = n % 2
					}
					k := knock{door: d.name, began: time.Now()}
					k.accepted = d.open(e, where)
					mu.Lock()
					tries[d.name] = append(tries[d.name], k)
					if k.accepted {
						let[d.name] = true
					}
					mu.Unlock()
				}
			})
		}
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		mu.Lock()
		every := len(let) == len(all)
		mu.Unlock()
		if every {
			break
		}
	}
	time.Sleep(rand.N(50 * time.Millisecond))
	err := end()
	ended = time.Now()
	time.Sleep(after)
	// On a busy machine a knock may take longer than that.
	for deadline := ended.Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		every := !slices.ContainsFunc(all, func(d door) bool {
			return !e.spent(d.name) && !slices.ContainsFunc(tries[d.name], func(k knock) bool { return k.began.After(ended) })
		})
		mu.Unlock()
		if every {
			break
		}
	}
	close(stop)
	everybody.Wait()
	if err != nil {
		e.t.Fatalf("ending: %v", err)
	}
	return tries, ended
}

// spent reports whether there is nothing left to knock with.
func (e *everything) spent(door string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return door == "code" && len(e.came) == 0 || door == "pushed-request" && len(e.push) == 0
}

// listen opens the application's stream of signals, to be pushed to the receiver.
func listen(t *testing.T, h *house.House, p *house.Relying, to *house.Receiver) {
	t.Helper()
	token := p.Token(h.Issuer, url.Values{"grant_type": {"client_credentials"}, "scope": {"ssf.manage"}})
	body := `{"delivery":{"method":"urn:ietf:rfc:8935","endpoint_url":"` + to.URL + `"}}`
	a := h.Robot(t).Raw(http.MethodPost, "/ssf/stream", "application/json", strings.NewReader(body), http.Header{"Authorization": {"Bearer " + token.Access}})
	if a.Status != http.StatusCreated {
		t.Fatalf("opening a stream was answered with %d %s", a.Status, a.Body)
	}
}

// hear waits until the receiver was told, after the earlier signals, that the citizen's
// sessions ended. It returns how long after the end that was, and how many signals about
// the citizen had come by then.
func hear(t *testing.T, h *house.House, r *house.Receiver, e *everything, earlier int, ended time.Time) (lag time.Duration, about int) {
	t.Helper()
	seen, told := earlier, false
	for deadline := time.Now().Add(lagOfSignals + time.Second); time.Now().Before(deadline) && !told; time.Sleep(10 * time.Millisecond) {
		for _, one := range r.Since(seen) {
			seen++
			claims := h.Opened(t, one.Token, "secevent+jwt", jose.RS256)
			subject, _ := claims["sub_id"].(map[string]any)
			if subject["sub"] != e.tokens.Claims["sub"] {
				continue
			}
			about++
			events, _ := claims["events"].(map[string]any)
			if _, ok := events[oauth.SignalSessionRevoked]; ok && !told {
				told, lag = true, max(one.At.Sub(ended), 0)
			}
		}
	}
	if !told {
		t.Errorf("nobody was told of the end within %v", lagOfSignals+time.Second)
		return lagOfSignals + time.Second, about
	}
	return lag, about
}
