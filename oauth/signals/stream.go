package signals

import (
	"context"
	"net/http"
	"slices"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/internal/outbound"
	"ecardid/oauth"
)

// A view is a stream's configuration as its receiver reads it.
type view struct {
	Stream      identity.ID `json:"stream_id"`
	Issuer      string      `json:"iss"`
	Audience    string      `json:"aud"`
	Supported   []string    `json:"events_supported"`
	Requested   []string    `json:"events_requested"`
	Delivered   []string    `json:"events_delivered"`
	Delivery    delivery    `json:"delivery"`
	MinInterval int64       `json:"min_verification_interval"`
	Description string      `json:"description,omitempty"`
}

func (h *Handler) view(s oauth.Stream) view {
	v := view{
		Stream: s.ID, Issuer: h.Tokens.Issuer.Name, Audience: s.ClientID, Supported: oauth.SignalTypes(),
		Requested: slices.Concat([]string{}, s.Requested), Delivered: slices.Concat([]string{}, s.Delivered),
		Delivery: delivery{Method: s.Method, Endpoint: s.Endpoint}, MinInterval: int64(minInterval.Seconds()), Description: s.Description,
	}
	if s.Method == oauth.DeliveryPoll {
		v.Delivery.Endpoint = h.pollURL(s.ID)
	}
	return v
}

// pollURL is the delivery endpoint of a poll stream (RFC 8936 §2.4).
func (h *Handler) pollURL(id identity.ID) string {
	return h.Tokens.Issuer.Name + "/ssf/poll/" + id.String()
}

// apply makes a stream of what there was and what its receiver wishes. With whole, what
// is not wished for is as in a new stream (§8.1.1.4).
func (h *Handler) apply(ctx context.Context, c *oauth.Client, s oauth.Stream, w wish, whole bool) (oauth.Stream, error) {
	if whole {
		if w.Requested == nil {
			all := oauth.SignalTypes()
			w.Requested = &all
		}
		if w.Description == nil {
			w.Description = new(string)
		}
		if w.Delivery == nil {
			w.Delivery = &delivery{Method: oauth.DeliveryPoll} // §8.1.1.1
		}
	}
	if w.Requested != nil {
		s.Requested, s.Delivered = *w.Requested, nil
		for _, kind := range oauth.SignalTypes() {
			if slices.Contains(s.Requested, kind) {
				s.Delivered = append(s.Delivered, kind)
			}
		}
	}
	if w.Description != nil {
		s.Description = *w.Description
	}
	if w.Delivery == nil {
		return s, nil
	}
	s.Method, s.Endpoint, s.Authorization = w.Delivery.Method, "", ""
	switch {
	case s.Method == oauth.DeliveryPoll:
		// A receiver that sends back what it was told says where it polls. Somewhere else
		// there is nothing.
		if at := w.Delivery.Endpoint; at != "" && at != h.pollURL(s.ID) {
			return oauth.Stream{}, invalid("The endpoint_url of a poll stream is the transmitter's.")
		}
	case s.Method == oauth.DeliveryPush && h.Sender != nil:
		if !h.Hosts.May(ctx, c, w.Delivery.Endpoint) {
			return oauth.Stream{}, oauth.Refuse(invalid("The endpoint_url is not https, or its host is not one the client was admitted with."),
				audit.AccessRefused, c.ID, "events to an address that is not the client's", nil)
		}
		s.Endpoint, s.Authorization = w.Delivery.Endpoint, w.Delivery.Authorization
	default:
		return oauth.Stream{}, invalid("The delivery method is not supported.")
	}
	return s, nil
}

// A Caller calls servers under the rules for outbound calls (SECURITY SR1).
type Caller interface {
	// Calls reports whether the URL is one that would be called.
	Calls(ctx context.Context, url string) bool
}

// Hosts says where events may be pushed to: the hosts that an operator lists, and for
// each client those it was admitted with itself. Another client's will not do, though
// they may be called for that one's sake, and a client that registered itself has
// admitted nobody.
type Hosts struct {
	Listed  Caller // nil: none
	Callers Caller // what is called at all
}

// May reports whether events for the client may be pushed to the URL, as things are now.
func (h Hosts) May(ctx context.Context, c *oauth.Client, url string) bool {
	if h.Listed != nil && h.Listed.Calls(ctx, url) {
		return true
	}
	at := outbound.Address(url)
	own := at != "" && !c.Dynamic && slices.ContainsFunc(c.URIs(), func(uri string) bool { return outbound.Address(uri) == at })
	return own && h.Callers != nil && h.Callers.Calls(ctx, url)
}

// A Sender posts with an Authorization header, unless that is empty, and returns the
// status of the answer.
type Sender interface {
	PostAs(ctx context.Context, url, contentType, authorization string, body []byte) (status int, err error)
}

// StreamMethods are those of the configuration endpoint.
func StreamMethods() []string {
	return []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodPut, http.MethodDelete}
}
