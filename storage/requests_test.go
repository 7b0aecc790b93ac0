package storage

import (
	"errors"
	"testing"
	"time"

	"ecardid/identity"
	"ecardid/oauth"
)

// Strangers fill the store up to a cap (SECURITY DS3), and clients that have shown
// their credentials have room all the same.
func TestStrangersShutNoClientOut(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		s.waiting.max, s.pushed.max = 3, 6
		store := func(n byte, vouched bool) error {
			return s.StoreRequest(t.Context(), oauth.StoredRequest{
				Handle: []byte{n}, Kind: "authorize", ClientID: "rp", Params: "scope=openid", Created: opNow, Expires: opNow.Add(time.Minute), Vouched: vouched,
			})
		}
		for n := range byte(5) {
			if err := store(n, false); (err == nil) != (n < 3) || err != nil && !errors.Is(err, identity.ErrConflict) {
				t.Errorf("stranger %d: %v", n, err)
			}
		}
		for n := range byte(5) {
			if err := store(10+n, true); (err == nil) != (n < 3) || err != nil && !errors.Is(err, identity.ErrConflict) {
				t.Errorf("client %d: %v", n, err)
			}
		}
	})
}
