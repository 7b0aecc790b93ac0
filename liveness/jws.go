package liveness

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"ecardid/internal/jose"
)

// algs are the signatures of this protocol: one of either world.
func algs() []jose.Alg { return []jose.Alg{jose.ES256, jose.SM2} }

// open returns the claims of a message of type typ that a pinned key signed. The
// kid must be there even when only one key is pinned, and typ is compared to the
// letter.
func open(jws, typ string, keys jose.Set) ([]byte, error) {
	t, err := jose.Parse(jws)
	if err != nil {
		return nil, err
	}
	if t.Header.Type != typ {
		return nil, fmt.Errorf("typ is not %s", typ)
	}
	if t.Header.KeyID == "" {
		return nil, errors.New("no kid")
	}
	v, err := t.Verify(keys, algs()...)
	if err != nil {
		return nil, err
	}
	var payload json.RawMessage
	if err := v.Claims(&payload); err != nil {
		return nil, err
	}
	return payload, nil
}

func usableForSigning(k jose.Key) bool { return k.CanSign() && slices.Contains(algs(), k.Alg()) }

func checkPinned(keys jose.Set) error {
	if keys.Len() == 0 {
		return errors.New("none")
	}
	for _, k := range keys.Keys() {
		if k.KeyID() == "" || !slices.Contains(algs(), k.Alg()) {
			return errors.New("each needs a kid and is for ES256 or SGD_SM3_SM2")
		}
	}
	return nil
}
