package passkey_test

import (
	"context"
	"fmt"
	"sync"

	"ecardid/authn/passkey"
	"ecardid/identity"
)

// A shelf shows what the caller's storage does for a ceremony: whoever takes it
// first has it, and it is gone whether the answer is right or wrong. In a database
// this is one DELETE … RETURNING under flow, purpose and expiry.
type shelf struct {
	mu   sync.Mutex
	kept map[string]passkey.Ceremony
}

func (s *shelf) put(flow string, c passkey.Ceremony) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept[flow] = c
}

func (s *shelf) take(flow string) (passkey.Ceremony, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.kept[flow]
	delete(s.kept, flow)
	if !ok {
		return passkey.Ceremony{}, identity.ErrSpent
	}
	return c, nil
}

func ExampleRelying_FinishLogin() {
	store := &shelf{kept: map[string]passkey.Ceremony{}}
	store.put("flow-1", passkey.Ceremony{Purpose: passkey.SignIn})

	answer := func(context.Context) error {
		_, err := store.take("flow-1")
		if err != nil {
			return err
		}
		return nil // relying.FinishLogin(ctx, ceremony, body, lookup)
	}
	fmt.Println(answer(context.Background()))
	fmt.Println(answer(context.Background())) // the same answer once more
	// Output:
	// <nil>
	// already used
}
