package signals

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/ory/fosite"

	"ecardid/identity"
	"ecardid/internal/strictjson"
	"ecardid/oauth"
	"ecardid/oauth/caller"
	"ecardid/oauth/form"
	"ecardid/oauth/respond"
)

// Poll serves PathPoll (RFC 8936 §2). It answers at once, whatever returnImmediately
// says: a request that waits for something to happen would keep a place that somebody
// else may need, and §2.5 leaves that to us.
func (h *Handler) Poll(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		h.Respond.Method(w, http.MethodPost)
		return
	}
	h.serve(w, r, reading(), h.poll)
}

// A polling is what a receiver asks and says.
type polling struct {
	most    int
	acks    []identity.ID
	refused int // of the acknowledged, those it could not use (§2.2, setErrs)
}

func readPolling(raw []byte) (polling, error) {
	o, err := limits().Object(raw)
	if err != nil {
		return polling{}, invalid("The body is not one JSON object: " + err.Error() + ".")
	}
	f, err := parse(raw, "maxEvents?", "returnImmediately?", "ack?", "setErrs?")
	if err != nil {
		return polling{}, err
	}
	p := polling{most: maxEvents}
	if _, there := o.Get("maxEvents"); there {
		p.most = min(int(f.Integer("maxEvents", 0, 1<<31-1)), maxEvents)
	}
	f.Flag("returnImmediately")
	names := f.Texts("ack", maxAcks, maxText)
	if value, there := o.Get("setErrs"); there {
		errs, err := strictjson.Limits{Bytes: maxBody, Depth: 6, Twins: strictjson.TwinsAnywhere}.Object(value)
		if err != nil || len(errs) > maxAcks {
			return polling{}, invalid("setErrs is not an object.")
		}
		for _, m := range errs {
			names = append(names, m.Name)
		}
		p.refused = len(errs)
	}
	if err := f.Err(); err != nil {
		return polling{}, invalid("In the request: " + err.Error() + ".")
	}
	for _, name := range names {
		// What is no id of ours acknowledges nothing.
		if id, err := identity.ParseID(name); err == nil {
			p.acks = append(p.acks, id)
		}
	}
	return p, nil
}

func (h *Handler) poll(w http.ResponseWriter, r *http.Request, c caller.Caller) error {
	if _, err := form.Query(r, nil); err != nil {
		return err
	}
	id, err := identity.ParseID(r.PathValue("id"))
	if err != nil {
		return identity.ErrNotFound
	}
	raw, err := body(w, r)
	if err != nil {
		return err
	}
	p, err := readPolling(raw)
	if err != nil {
		return err
	}
	s, err := h.Streams.StreamOf(r.Context(), c.ID)
	if err == nil && (s.ID != id || s.Method != oauth.DeliveryPoll) {
		err = identity.ErrNotFound
	}
	if err != nil {
		return err
	}
	if p.refused > 0 {
		h.observe("refused", p.refused)
	}
	signals, more, err := h.wanted(r.Context(), c.Client, s, p)
	if err != nil {
		return err
	}
	var sets bytes.Buffer // in order, which a map would not keep
	for i, one := range signals {
		token, err := h.Tokens.Token(c.Client, s, one)
		if err != nil {
			return fosite.ErrTemporarilyUnavailable.WithWrap(err)
		}
		if i > 0 {
			sets.WriteByte(',')
		}
		sets.WriteString(`"` + one.ID.String() + `":"` + token + `"`)
	}
	return respond.JSON(w, http.StatusOK, struct {
		Sets json.RawMessage `json:"sets"`
		More bool            `json:"moreAvailable"`
	}{json.RawMessage("{" + sets.String() + "}"), more})
}

// wanted are the next signals of citizens whom the stream hears of. Those of the others
// are forgotten on the way.
func (h *Handler) wanted(ctx context.Context, c *oauth.Client, s oauth.Stream, p polling) ([]oauth.Signal, bool, error) {
	acks := p.acks
	for {
		signals, more, err := h.Streams.PollStream(ctx, c.ID, s.ID, acks, p.most, h.Clock.Now())
		if err != nil {
			return nil, false, err
		}
		kept, dropped, err := h.Tokens.sift(ctx, h.Streams, c, s, signals)
		if err != nil {
			return nil, false, err
		}
		if len(kept) > 0 || len(dropped) == 0 {
			return kept, more, nil
		}
		acks = dropped
	}
}

// sift parts signals by whether their citizens are left out of the stream.
func (m Maker) sift(ctx context.Context, streams oauth.Streams, c *oauth.Client, s oauth.Stream, signals []oauth.Signal) (kept []oauth.Signal, dropped []identity.ID, err error) {
	var subs [][]byte
	for _, one := range signals {
		if sub := m.person(c, one); sub != nil {
			subs = append(subs, sub)
		}
	}
	if len(subs) == 0 {
		return signals, nil, nil
	}
	out, err := streams.LeftOut(ctx, s.ID, subs)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range signals {
		if sub := m.person(c, one); sub != nil && out[string(sub)] {
			dropped = append(dropped, one.ID)
		} else {
			kept = append(kept, one)
		}
	}
	return kept, dropped, nil
}

// observe counts, if anybody does.
func (h *Handler) observe(outcome string, n int) {
	if h.Observer != nil {
		h.Observer.Signals(outcome, n)
	}
}

// errGone: nobody is there to be told any more.
var errGone = errors.New("signals: the client is gone")
