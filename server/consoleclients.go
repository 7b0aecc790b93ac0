package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ecardid/audit"
	"ecardid/console"
	"ecardid/identity"
	"ecardid/internal/clock"
	"ecardid/oauth"
)

// relyingParties shows the clients, which oauth keeps, to the console.
type relyingParties struct {
	store interface {
		oauth.Clients
		oauth.Usages
		ClientWeight(ctx context.Context, clientID string, now time.Time) (oauth.Weight, error)
	}
	// reload has this replica see a change at once.
	reload func(ctx context.Context) error
	clock  clock.Clock
}

var _ console.Clients = relyingParties{}

// ListClients implements console.Clients.
func (p relyingParties) ListClients(ctx context.Context) ([]console.ClientFile, error) {
	all, _, err := p.store.AllClients(ctx)
	if err != nil {
		return nil, err
	}
	files := make([]console.ClientFile, len(all))
	for i := range all {
		if files[i], err = p.file(&all[i]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// ClientFile implements console.Clients.
func (p relyingParties) ClientFile(ctx context.Context, id string) (console.ClientFile, error) {
	c, err := p.client(ctx, id)
	if err != nil {
		return console.ClientFile{}, err
	}
	return p.file(&c)
}

// client reads one as it is kept: the registry has only those that are served, and may be
// seconds behind.
func (p relyingParties) client(ctx context.Context, id string) (oauth.Client, error) {
	all, _, err := p.store.AllClients(ctx)
	if err != nil {
		return oauth.Client{}, err
	}
	for _, c := range all {
		if c.ID == id {
			return c, nil
		}
	}
	return oauth.Client{}, identity.ErrNotFound
}

func (p relyingParties) file(c *oauth.Client) (console.ClientFile, error) {
	revision, err := c.Revision()
	if err != nil {
		return console.ClientFile{}, err
	}
	registered, err := oauth.ParseScope(c.Scope)
	if err != nil {
		return console.ClientFile{}, fmt.Errorf("client %s: %w", c.ID, err)
	}
	f := console.ClientFile{
		ID: c.ID, Name: c.Name, State: string(c.State), Profile: string(c.Profile), Method: c.TokenEndpointAuthMethod, Dynamic: c.Dynamic,
		Redirects: c.RedirectURIs, Grants: c.GrantTypes, Scopes: registered, Created: c.Created, Updated: c.Updated, Revision: revision,
	}
	a := c.Admission
	if a == nil {
		return f, nil
	}
	f.Record = console.Record{Assessor: a.Assessor, Reference: a.Reference, Assessed: a.Assessed.String(), Expires: a.Expires.String(), Testers: a.Testers}
	for _, s := range a.Scopes {
		f.Record.Scopes = append(f.Record.Scopes, console.ScopeBasis{Scope: s.Scope, Chinese: s.Basis["zh-CN"], English: s.Basis["en"]})
	}
	if !a.Expires.IsZero() {
		f.Ends = a.Expires.Over()
		f.Ending = c.State != oauth.ClientWithdrawn && a.Ending(p.clock.Now())
		f.Lapsed = a.Lapsed(p.clock.Now())
	}
	return f, nil
}

// ClientWeight implements console.Clients.
func (p relyingParties) ClientWeight(ctx context.Context, id string) (console.ClientWeight, error) {
	w, err := p.store.ClientWeight(ctx, id, p.clock.Now())
	return console.ClientWeight(w), err
}

// ClientDays implements console.Clients.
func (p relyingParties) ClientDays(ctx context.Context, id string, n int) ([]console.ClientDay, error) {
	today := oauth.DayNumber(p.clock.Now())
	used, err := p.store.UsageSince(ctx, id, today-n+1)
	if err != nil {
		return nil, err
	}
	days := make([]console.ClientDay, n)
	for i := range days {
		days[i].Day = oauth.DayStart(today - n + 1 + i)
	}
	for _, u := range used {
		if i := u.Day - (today - n + 1); i >= 0 && i < n {
			d := &days[i]
			d.Codes, d.Refreshes, d.Refusals, d.Overasked = u.Codes, u.Refreshes, u.Refusals, u.Overasked
		}
	}
	return days, nil
}

// transition puts an order into oauth's words.
func transition(c console.ClientChange) (oauth.Transition, error) {
	t := oauth.Transition{Revision: c.Revision, To: oauth.ClientState(c.State)}
	if c.Record == nil {
		return t, nil
	}
	a := &oauth.Admission{Assessor: c.Record.Assessor, Reference: c.Record.Reference, Testers: c.Record.Testers}
	var err1, err2 error
	a.Assessed, err1 = oauth.ParseDay(c.Record.Assessed)
	a.Expires, err2 = oauth.ParseDay(c.Record.Expires)
	if err := errors.Join(err1, err2); err != nil {
		return t, fmt.Errorf("%w: %w", console.ErrInvalid, err)
	}
	for _, s := range c.Record.Scopes {
		b := oauth.Basis{Scope: s.Scope}
		for tag, text := range map[string]string{"zh-CN": s.Chinese, "en": s.English} {
			if text != "" {
				if b.Basis == nil {
					b.Basis = map[string]string{}
				}
				b.Basis[tag] = text
			}
		}
		a.Scopes = append(a.Scopes, b)
	}
	t.Admission = a
	return t, nil
}

// invalid is an error in the console's words.
func invalid(err error) error {
	if errors.As(err, new(*oauth.MetadataError)) {
		return fmt.Errorf("%w: %w", console.ErrInvalid, err)
	}
	return err
}

// TryClient implements console.Clients.
func (p relyingParties) TryClient(ctx context.Context, id string, c console.ClientChange) error {
	t, err := transition(c)
	if err != nil {
		return err
	}
	now, err := p.client(ctx, id)
	if err != nil {
		return err
	}
	_, err = t.Apply(now, p.clock.Now())
	return invalid(err)
}

// ChangeClient implements console.Clients.
func (p relyingParties) ChangeClient(ctx context.Context, id string, c console.ClientChange, e audit.Event) error {
	t, err := transition(c)
	if err != nil {
		return err
	}
	if err := p.store.MoveClient(ctx, id, t, e); err != nil {
		return invalid(err)
	}
	p.show(ctx)
	return nil
}

// SuspendClient implements console.Clients.
func (p relyingParties) SuspendClient(ctx context.Context, id string, e audit.Event) error {
	if err := p.store.SuspendClient(ctx, id, e.At, e); err != nil {
		return err
	}
	p.show(ctx)
	return nil
}

// WithdrawClient implements console.Clients.
func (p relyingParties) WithdrawClient(ctx context.Context, id string, e audit.Event) error {
	if err := p.store.WithdrawClient(ctx, id, e.At, e); err != nil {
		return err
	}
	p.show(ctx)
	return nil
}

// show has this replica see a change. That it cannot is no error of the change's, which
// is made: a registry too old reads by itself in seconds, or serves nobody.
func (p relyingParties) show(ctx context.Context) { _ = p.reload(ctx) }

// streamError is what is wrong with a stream, that something was lost on it included.
func streamError(l oauth.StreamLag) string {
	var all []string
	if l.Error != "" {
		all = append(all, l.Error)
	}
	if !l.Lost.IsZero() {
		all = append(all, "overflow "+l.Lost.UTC().Format(time.RFC3339))
	}
	return strings.Join(all, "; ")
}

// signalStreams shows the streams of shared signals to the console.
type signalStreams struct {
	store interface {
		SignalLag(ctx context.Context) ([]oauth.StreamLag, error)
	}
}

// Streams implements console.Streams.
func (s signalStreams) Streams(ctx context.Context) ([]console.Stream, error) {
	lags, err := s.store.SignalLag(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]console.Stream, len(lags))
	for i, l := range lags {
		all[i] = console.Stream{
			Client: l.ClientID, Method: l.Method, Status: l.Status, Pending: l.Pending, Failures: l.Failures, Oldest: l.Oldest, Delivered: l.Delivered, Error: streamError(l),
		}
	}
	return all, nil
}
