package server

import "ecardid/internal/seal"

// sealed derives the keyed functions the rooms ask for from the store's data keys,
// each for its own purpose and label, and always from the keys as they are now.
type sealed struct {
	store interface{ Keys() *seal.Keys }
}

// token is a MAC that may change when the key is rotated: for what lives minutes.
func (k sealed) token(label string) func([]byte) ([]byte, error) {
	return func(message []byte) ([]byte, error) {
		return k.store.Keys().MAC(seal.Token, []byte(label), message)
	}
}

// check compares with token's, under the active key and those before it.
func (k sealed) check(label string) func(tag, message []byte) bool {
	return func(tag, message []byte) bool {
		ok, _ := k.store.Keys().VerifyMAC(seal.Token, tag, []byte(label), message)
		return ok
	}
}

// index is a keyed hash that never changes: for what is looked up years later. It
// is 16 bytes long.
func (k sealed) index(label string) func([]byte) ([]byte, error) {
	return func(message []byte) ([]byte, error) {
		return k.store.Keys().Index(label, string(message)), nil
	}
}

// ID and Tag are the pepper over password hashes.
func (k sealed) ID() uint32 { return k.store.Keys().Pepper().ID() }

// Tag implements password.Pepper.
func (k sealed) Tag(id uint32, data []byte) ([]byte, error) {
	return k.store.Keys().Pepper().Tag(id, data)
}

// derive makes a key of 32 bytes for one label under the active key of a purpose.
// What is hashed under it is looked up under it, so it may not change while such a
// hash is good for something. Nothing rotates data keys yet: each purpose has its
// version 1 and no other. Whoever adds a rotation has to let the handles, forms and
// client secrets of the version before be found as well, and to derive anew in
// running replicas, which do it once, at start.
func (k sealed) derive(purpose seal.Purpose, label string) ([]byte, error) {
	return k.store.Keys().MAC(purpose, []byte("derive"), []byte(label))
}
