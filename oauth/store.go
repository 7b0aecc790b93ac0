package oauth

import (
	"context"
	"encoding/json"
	"time"

	"ecardid/audit"
	"ecardid/identity"
)

// This file is all that the protocol asks of whoever remembers: by operation,
// not by row (DESIGN D2). The rules of authn/store.go hold here too: time is
// passed in, once is one conditional write, an event is written with its act.
//
// A grant is dead when any of these is true, and each statement that would use
// it finds out by itself (DESIGN D3): revoked, past its end, its login ended or,
// unless Offline, past its limits, its epoch not the citizen's, the citizen not
// normal, its client suspended.

// A Grant is what a citizen allowed one client: code, PKCE, OpenID Connect
// context and token family at once.
type Grant struct {
	ID          identity.ID
	ClientID    string
	Citizen     identity.ID
	Login       identity.ID
	Scope       []string
	Resource    []string // audiences of its access tokens
	RedirectURI string   // as sent in the authorization request
	Nonce       string
	ACR         string
	AMR         []string
	AuthTime    time.Time
	Offline     bool // offline_access: lives on when the login has run out (not when it is ended)
	Opaque      bool // its access tokens are opaque: decided once, when the code is issued
	Created     time.Time
	Expires     time.Time // absolute end of the family
	Binding     Binding
	// Session is the sitting at the browser it was given in: Login.Session. What
	// relying parties see of it is their sid.
	Session identity.ID
	// Details are the authorization_details agreed to (RFC 9396): a JSON array in
	// the one spelling that was shown; nil for none.
	Details json.RawMessage
	// Claims are those asked for one by one and agreed to (OpenID Connect Core §5.5).
	Claims ClaimNames
	// Parent is the grant a token exchange derived this one from; it dies with it.
	// Act is who acts for the citizen then (RFC 8693 §4.1), a JSON object.
	Parent identity.ID
	Act    json.RawMessage
}

// ClaimNames are claims by where they are wanted.
type ClaimNames struct {
	IDToken  []string `json:"id_token,omitempty"`
	UserInfo []string `json:"userinfo,omitempty"`
}

// IsZero reports whether none is wanted.
func (c ClaimNames) IsZero() bool { return len(c.IDToken)+len(c.UserInfo) == 0 }

// A Once is a value that may be used one time: the jti of a client assertion or of
// a DPoP proof, hashed with all that makes it unique. An operation that carries
// some records them in the statement that does its work, and whether it then finds
// what it looks for or not; if one was recorded before, the answer is
// identity.ErrReplayed and nothing else is done (SECURITY G1, SC2).
type Once struct {
	Key     []byte // SHA-256
	Expires time.Time
}

// A Binding names the key the tokens are bound to; empty for bearer tokens.
type Binding struct {
	JKT string `json:"jkt,omitempty"`      // RFC 9449 §6.1
	X5T string `json:"x5t#S256,omitempty"` // RFC 8705 §3.1
}

// A NewCode is a grant about to be issued with its code.
type NewCode struct {
	Grant       Grant
	Code        []byte // SHA-256
	CodeExpires time.Time
	Challenge   string // PKCE S256; empty only where the profile allows it
	CodeJKT     string
	// Interaction, unless empty, is deleted by the same statement; if it is gone
	// already the answer is identity.ErrSpent and nothing is issued.
	Interaction []byte
	// Consent: store these scopes as agreed to. When false, every scope of the
	// grant must have been agreed to before (identity.ErrConsent otherwise),
	// unless FirstParty.
	Consent        bool
	ConsentExpires time.Time
	FirstParty     bool
	// Agree, unless nil, is what consent is stored and looked up for in place of
	// Grant.Scope: its scopes, and "claim:NAME" for claims asked for one by one.
	Agree []string
	Event audit.Event // written only with Consent
	// Terms says, for each of Agree (or of the grant's scopes) in turn, what it stands
	// for now. What was agreed to under other terms was not agreed to (SECURITY CN1).
	Terms []string
	// Epoch is the client's when its citizen was looked at. It counts for a client that is
	// being tested: with whom, may have changed since, and the epoch with it.
	Epoch int64
}

// A Redemption is a code at the token endpoint. All of it must match before
// anything is issued (SECURITY CO2).
type Redemption struct {
	Code        []byte // SHA-256
	ClientID    string
	RedirectURI string
	Challenge   string // S256 of the verifier sent; empty when none was
	JKT         string
	Binding     Binding
	Refresh     []byte // SHA-256 of the refresh token to issue; nil for none
	Family      []byte // SHA-256 of what all refresh tokens of the family have in common
	RefreshIdle time.Time
	Access      NewAccess
	Once        []Once
	Now         time.Time
}

// A NewAccess is an opaque access token to be stored if the grant turns out to be
// Opaque: the statement that finds out stores it, so it is prepared beforehand
// and thrown away when the token is to be a JWT.
type NewAccess struct {
	Token []byte // SHA-256
	// Scope narrows the token (RFC 6749 §6); nil is the grant's own. What the
	// grant does not hold is identity.ErrScope, and nothing is changed.
	Scope []string
	// Without takes scopes away: those a refresh does not carry on, and those the
	// client may not have any more.
	Without []string
	// Resource is the token's audience; nil is the grant's own.
	Resource []string
	Expires  time.Time
	Binding  Binding
}

// A Refreshing is a refresh token at the token endpoint.
type Refreshing struct {
	Token    []byte // SHA-256
	Family   []byte // SHA-256 of its family's part
	ClientID string
	JKT      string // of the proof sent; compared when the family is bound
	// Next replaces the token (rotation) and is of the same family; nil keeps it.
	Next        []byte
	RefreshIdle time.Time
	Access      NewAccess
	Once        []Once
	Now         time.Time
}

// An Exchange derives a grant from another (RFC 8693): a child for ClientID, of the
// same citizen, login, session and assurance.
type Exchange struct {
	Parent   identity.ID // of the subject token, read and verified already
	ID       identity.ID // of the child
	ClientID string
	Scope    []string // the result is never wider than the parent
	Resource []string
	Opaque   bool
	Act      json.RawMessage
	Expires  time.Time // not after the parent's
	Access   NewAccess
	Once     []Once
	Now      time.Time
}

// Exchanges derives grants. One statement.
type Exchanges interface {
	// Exchange stores the child if the parent is alive and returns the child. A dead
	// or unknown parent is identity.ErrNotFound, more scope than the parent's
	// identity.ErrScope, a chain longer than four identity.ErrConflict.
	Exchange(ctx context.Context, x Exchange) (Grant, error)
}

// Codes issues and redeems. Each method is one round trip on PostgreSQL when all
// goes well.
type Codes interface {
	// IssueCode stores the grant. identity.ErrEnded when the login is dead or has no right
	// to it any more, identity.ErrConsent, identity.ErrSpent (see NewCode).
	IssueCode(ctx context.Context, n NewCode) error
	// Redeem spends the code and returns its grant. A code that is unknown,
	// expired, dead or not matched in every part is identity.ErrNotFound. It stays as
	// it was, but for one case: the right client with the right redirect URI and
	// another challenge ends an unspent code (SECURITY CO1), because that client was
	// brought a code that is not its browser's.
	// A spent code that matches in every part is identity.ErrSpent and the grant
	// is revoked (RFC 6749 §4.1.2), in one transaction with its audit.GrantReplayed; one
	// that does not match revokes nothing.
	Redeem(ctx context.Context, r Redemption) (Grant, error)
}

// Refreshes refreshes.
type Refreshes interface {
	// Refresh returns the grant of a live refresh token of this client and, as
	// asked, rotates it. Any other token of a family of this client was rotated away,
	// however long ago: it is identity.ErrSpent and revokes the family (RFC 9700
	// §4.14), in one transaction with its audit.GrantReplayed. Others: ErrNotFound.
	Refresh(ctx context.Context, r Refreshing) (Grant, error)
}

// A TokenInfo is an opaque access token that is alive.
type TokenInfo struct {
	Grant    Grant
	Scope    []string
	Resource []string
	Issued   time.Time
	Expires  time.Time
	Binding  Binding
}

// A Person is what userinfo may speak of, unsealed only for the asked claims.
type Person struct {
	Citizen identity.ID
	Claims  map[string]any // by claim name
	Updated time.Time
}

// Tokens answers about access tokens. One read each.
type Tokens interface {
	// Token returns a live opaque access token.
	Token(ctx context.Context, token []byte, now time.Time, once ...Once) (TokenInfo, error)
	// LiveGrant returns the grant behind a JWT access token (claim gid) if it is alive.
	LiveGrant(ctx context.Context, grant identity.ID, now time.Time, once ...Once) (Grant, error)
	// UserInfo returns the token as Token does (or, when token is nil, the grant as
	// LiveGrant does) together with the sealed claims of its citizen that `claims`
	// names, unsealed.
	UserInfo(ctx context.Context, token []byte, grant identity.ID, claims []string, now time.Time, once ...Once) (TokenInfo, Person, error)
}

// Revocations ends grants.
type Revocations interface {
	// RevokeToken ends one opaque access token of this client. Unknown tokens are nil
	// (RFC 7009 §2.2); another client's is identity.ErrNotFound and stays as it was. The
	// change is durable when it returns.
	RevokeToken(ctx context.Context, token []byte, clientID string, now time.Time, e audit.Event) error
	// RevokeFamily does so with a family of refresh tokens and all that came of it,
	// whichever of its tokens was shown.
	RevokeFamily(ctx context.Context, family []byte, clientID string, now time.Time, e audit.Event) error
	// RevokeGrant ends one grant of this client, for a JWT access token.
	RevokeGrant(ctx context.Context, grant identity.ID, clientID string, now time.Time, e audit.Event) error
}

// A StoredRequest is an authorization request that waits for its citizen. Only what
// is stored counts; nothing on the front channel beside client_id and request_uri
// is read again (RFC 9126 §4).
type StoredRequest struct {
	Handle   []byte // SHA-256 of the handle in request_uri
	Kind     string // "authorize", "par" or "device"
	ClientID string
	Params   string // canonical form encoding, without client credentials; sealed at rest
	Browser  []byte // SHA-256 of the browser's request cookie; nil for par before its first use
	Created  time.Time
	Expires  time.Time
	// Vouched: a client with credentials pushed it, so strangers who fill the store
	// do not shut it out. It is not kept.
	Vouched bool
}

// Requests keeps them.
type Requests interface {
	// StoreRequest keeps r. Strangers cause these rows, so there is a limit to how
	// many live ones are kept: identity.ErrConflict beyond it.
	StoreRequest(ctx context.Context, r StoredRequest, once ...Once) error
	// ClaimRequest gives a live request that no browser has had yet to this one, and
	// a new end with it: a handle is first used within its 60 seconds, and then
	// lives for the login. Of two browsers one wins; identity.ErrSpent for the other,
	// nil for the one that has it already.
	ClaimRequest(ctx context.Context, handle []byte, clientID string, browser []byte, expires, now time.Time) error
	// Request returns the request of this client if it is alive.
	Request(ctx context.Context, handle []byte, clientID string, now time.Time) (StoredRequest, error)
	// RequestFor is Request together with the live login of a browser, by Logins.Token,
	// from the same read: nil when there is none.
	RequestFor(ctx context.Context, handle []byte, clientID string, login []byte, now time.Time) (StoredRequest, *identity.Login, error)
	// DropRequest deletes it; ErrSpent when it is gone: one answer counts.
	DropRequest(ctx context.Context, handle []byte) error
}

// A Consent is one scope a citizen agreed to give one client.
type Consent struct {
	ClientID string
	Scope    string
	Terms    string // what the scope stood for then
	Given    time.Time
	Expires  time.Time // zero: until withdrawn
}

// Consents keeps them.
type Consents interface {
	Consents(ctx context.Context, citizen identity.ID, clientID string, now time.Time) ([]Consent, error)
	AllConsents(ctx context.Context, citizen identity.ID, now time.Time) ([]Consent, error)
	// WithdrawConsent deletes all consents for the client and revokes its grants, unredeemed
	// codes included, in one transaction.
	WithdrawConsent(ctx context.Context, citizen identity.ID, clientID string, now time.Time, e audit.Event) error
}

// Clients keeps registrations. They are few and read into memory as a whole.
type Clients interface {
	// AllClients returns every client and a version that rises with each change.
	AllClients(ctx context.Context) ([]Client, int64, error)
	// ApplyClient inserts or replaces. Applied as suspended is SuspendClient; when the
	// client's redirect URIs, scope or authentication changed, its stored requests go
	// in the same transaction.
	ApplyClient(ctx context.Context, c Client, e audit.Event) error
	// MoveClient carries out a transition, on the client as it is then. What it held dies
	// unless it stays live, or stays what it is with the same testers.
	MoveClient(ctx context.Context, id string, t Transition, e audit.Event) error
	// SuspendClient suspends a client that is live, and takes one that is tested back to
	// draft; its grants are dead at once and stay dead when it is made live again.
	// identity.ErrNotFound for one that is not served.
	SuspendClient(ctx context.Context, id string, now time.Time, e audit.Event) error
	// WithdrawClient ends a client for good, with all that SuspendClient ends
	// (RFC 7592 §2.3). Its row stays, so that its id is never given again.
	WithdrawClient(ctx context.Context, id string, now time.Time, e audit.Event) error
}

// An InitialToken lets somebody register clients (RFC 7591 §3).
type InitialToken struct {
	Hash    []byte // SHA-256
	Note    string // whom it was given to
	Profile Profile
	Scope   string // the ceiling of what its clients may have
	Uses    int    // left; one is used up by each registration
	Created time.Time
	Expires time.Time
}

// Registrations keeps what dynamic registration needs.
type Registrations interface {
	Clients
	AddInitialToken(ctx context.Context, t InitialToken, e audit.Event) error
	// RegisterClient spends one use of the initial token, unless it is nil, and
	// stores the client, in one transaction. identity.ErrNotFound when the token is
	// unknown, expired or used up; identity.ErrConflict when the client id is taken.
	RegisterClient(ctx context.Context, initial []byte, c Client, now time.Time, e audit.Event) error
	// UpdateClient replaces a client on its own behalf: only while it is live, of the epoch
	// c.Epoch and registered under c.Registration; otherwise identity.ErrNotFound and
	// nothing is changed. Whoever was suspended meanwhile stays so (SECURITY CA4). Stored
	// requests go as with ApplyClient. When redirect URIs, names, subject type, sector or
	// the way the client authenticates change, the epoch rises: its grants are dead and
	// the consents given to it are gone (SECURITY CN1).
	UpdateClient(ctx context.Context, c Client, e audit.Event) error
	// InitialToken reads one that is alive.
	InitialToken(ctx context.Context, hash []byte, now time.Time) (InitialToken, error)
}

// A Farewell is the end of a session that a relying party has to hear of (OpenID
// Connect Back-Channel Logout). Storage writes one, in the transaction that ends the
// session, for each client with a back-channel logout URI that holds a grant of it.
type Farewell struct {
	ID       identity.ID
	ClientID string
	Citizen  identity.ID
	Session  identity.ID
	At       time.Time
	Tries    int
}

// Farewells is the outbox. Delivery is at least once: the jti of the logout token
// is the Farewell's ID, so that a relying party can tell a repetition.
type Farewells interface {
	// TakeFarewells leases up to n that are due until now+lease: no other replica is
	// given them meanwhile. Those older than a day are given up.
	TakeFarewells(ctx context.Context, now time.Time, lease time.Duration, n int) ([]Farewell, error)
	// Delivered deletes one.
	Delivered(ctx context.Context, id identity.ID) error
	// Undelivered has it tried again at next.
	Undelivered(ctx context.Context, id identity.ID, next time.Time) error
	// SessionClients lists the clients that hold a grant of the session, dead or
	// alive, for the front channel.
	SessionClients(ctx context.Context, session identity.ID) ([]string, error)
}

// A StoredKey is a signing key with its private half sealed by storage.
type StoredKey struct {
	KID       string
	Alg       string
	State     string // next, active, retired
	Private   []byte // PKCS#8; storage seals it
	Created   time.Time
	Activated time.Time
	Retired   time.Time
}

// Keys keeps signing keys.
type Keys interface {
	SigningKeys(ctx context.Context) ([]StoredKey, error)
	// ChangeKeys carries out one round of the rotation plan under a lock: plan is called with the
	// keys as they are and returns the keys as they are to be. Of two replicas
	// that rotate at once, the second sees what the first did.
	ChangeKeys(ctx context.Context, plan func([]StoredKey) ([]StoredKey, error), e audit.Event) error
}

// Replay remembers values that may be used once (assertion and proof ids).
type Replay interface {
	// Remember records key until expires; identity.ErrSpent when it is known.
	Remember(ctx context.Context, key []byte, expires, now time.Time) error
	// Spend records all of once; identity.ErrReplayed when one of them is known.
	Spend(ctx context.Context, now time.Time, once ...Once) error
}

// Journal records what changed nothing, such as a refusal.
type Journal interface {
	Record(ctx context.Context, e audit.Event) error
}

// Store is everything together, for whoever wires the rooms.
type Store interface {
	Codes
	Refreshes
	Exchanges
	Tokens
	Revocations
	Requests
	Consents
	Registrations
	Farewells
	DeviceCodes
	Counters
	Keys
	Replay
	Journal
}
