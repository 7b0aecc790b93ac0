package storage

import (
	"context"
	"errors"

	"ecardid/identity"
	"ecardid/oauth"
)

// mayExchangeAt is the condition under which grant g is alive and may have a child:
// one generation less stands above it than above the youngest there may be.
func mayExchangeAt(param string) string {
	return asOf(alive+" AND "+lineage(maxLineage-1), param)
}

// Exchange implements oauth.Exchanges. What the child copies from its parent decides
// about it from then on, and so does the parent's own life: to revoke a grant is to
// revoke what descends from it, however much that is, without touching it.
//
// A child lives as long as the login, also when its parent is offline and does not;
// there is no child of a login that has run out.
func (s *Store) Exchange(ctx context.Context, x oauth.Exchange) (oauth.Grant, error) {
	if !contains(x.Scope, x.Access.Scope) {
		return oauth.Grant{}, known(s.refuse(ctx, identity.ErrScope, x.Once, x.Now), "exchanging")
	}
	g, err := s.hot.exchange(ctx, x)
	err = s.unsent(ctx, err, x.Once, x.Now)
	if errors.Is(err, errNoRows) {
		err = s.childless(ctx, x)
	}
	if err != nil {
		return oauth.Grant{}, known(err, "exchanging")
	}
	return g, nil
}

// childless finds out why a grant got no child.
func (s *Store) childless(ctx context.Context, x oauth.Exchange) error {
	g, err := s.LiveGrant(ctx, x.Parent, x.Now)
	if err != nil {
		return err
	}
	if !contains(g.Scope, x.Scope) {
		return identity.ErrScope
	}
	var one int
	err = s.db.queryRow(ctx, `SELECT 1`+grantFrom+mayExchangeAt("$2"), bin(x.Parent), ms(x.Now)).Scan(&one)
	if errors.Is(err, errNoRows) {
		return identity.ErrConflict
	}
	if err != nil {
		return err
	}
	return identity.ErrNotFound // the client it was for, or the login it would hang on, is over
}
