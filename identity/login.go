package identity

import "time"

// A Login is a browser that has proved who sits before it: the single sign-on
// session. It is read together with the states of its citizen and device, so a
// Login in hand was alive when it was read (DESIGN D3).
type Login struct {
	ID      ID
	Citizen ID
	// Session names the sitting: it stays when a step-up gives the login another ID
	// (SECURITY SS1), so that relying parties can be told of its end.
	Session ID
	// Device is the trusted browser it was made on; zero when the citizen did not
	// ask to be remembered.
	Device  ID
	Proofs  []Proof
	Started time.Time
	Seen    time.Time
	Ends    time.Time // absolute end; the idle end is checked by the reader
	Locale  string    // zh-CN or en, as last chosen
	// Cooling: a new phone or key was added, and until then nothing of high value is given
	// (DESIGN D8); zero for never.
	Cooling time.Time
}

// A Need is what somebody asks of a login before they go on. It is stored with
// the request that raised it and read again at the end (SECURITY G3).
type Need struct {
	Level Level `json:"level"`
	// Since: proofs from before do not count. prompt=login and max_age become
	// this, counted from the moment the request arrived, so that a slow citizen
	// does not go round in circles.
	Since time.Time `json:"since,omitzero"`
	// Txn names the transaction; a liveness verdict must have been given for it.
	Txn string `json:"txn,omitempty"`
	// Citizen, unless zero, is the only one who may answer.
	Citizen ID `json:"citizen,omitzero"`
	// Hint is what login_hint said. It fills a field and proves nothing. It is
	// never written to a log.
	Hint string `json:"hint,omitempty"`
	// Asker is who asks, for the page to say so. Nil when we ask ourselves.
	Asker *Asker `json:"asker,omitempty"`
	// Approve is what the citizen is about to agree to, in words by locale: a phone that
	// is asked for this need shows them and signs for them. Nil for a sign-in alone.
	Approve map[string]string `json:"approve,omitempty"`
}

// An Asker is a relying party as a citizen may see it: registered facts only.
type Asker struct {
	ClientID string            `json:"client_id"`
	Name     map[string]string `json:"name"` // by locale; "" is the fallback
	Host     string            `json:"host"` // of the redirect URI
	Admitted bool              `json:"admitted,omitempty"`
	// RedirectURI is where the answer will go, already matched with the
	// registration. Pages need it for form-action, which browsers hold against
	// every redirect that follows a form (DESIGN D12).
	RedirectURI string `json:"redirect_uri"`
}

// Assurance weighs the login's proofs for the need.
func (l Login) Assurance(n Need, now time.Time) Assurance {
	return Assess(l.Proofs, n.Since, n.Txn, now)
}

// Meets reports whether the login is enough for the need as it stands now.
func (l Login) Meets(n Need, now time.Time) bool {
	if !n.Citizen.IsZero() && n.Citizen != l.Citizen {
		return false
	}
	return l.Assurance(n, now).Level >= max(n.Level, LevelBasic)
}
