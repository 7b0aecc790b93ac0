package storage

import (
	"bytes"
	"testing"
	"time"

	"ecardid/audit"
	"ecardid/identity"
	"ecardid/oauth"
)

// Strangers who know a client's id can make us keep rows: so many, and no more
// (SECURITY DS3). Those that are over make room.
func TestDevicesAreCapped(t *testing.T) {
	opStores(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		s.devices.max = 3
		event := audit.Event{Kind: audit.ClientApplied, At: opNow, Actor: audit.ByOperator, Client: "terminal"}
		if err := s.ApplyClient(ctx, oauth.Client{ID: "terminal", State: oauth.ClientLive}, event); err != nil {
			t.Fatal(err)
		}
		add := func(n int, now time.Time) error {
			return s.AddDeviceCode(ctx, oauth.DeviceCode{Code: bytes.Repeat([]byte{byte(n)}, 32), User: bytes.Repeat([]byte{byte(n)}, 16),
				ClientID: "terminal", Params: "scope=openid", Created: now, Expires: now.Add(time.Minute)})
		}
		for n := range 5 {
			want := error(nil)
			if n >= s.devices.max {
				want = identity.ErrConflict
			}
			if err := add(n, opNow); err != want {
				t.Errorf("device %d: %v, want %v", n, err, want)
			}
		}
		s.vouched.max = 6
		if err := s.AddDeviceCode(ctx, oauth.DeviceCode{Code: bytes.Repeat([]byte{9}, 32), User: bytes.Repeat([]byte{9}, 16),
			ClientID: "terminal", Params: "scope=openid", Created: opNow, Expires: opNow.Add(time.Minute), Vouched: true}); err != nil {
			t.Errorf("strangers shut a client with credentials out: %v", err)
		}
		if err := add(6, opNow.Add(time.Minute)); err != nil {
			t.Errorf("when they are over: %v", err)
		}
	})
}
