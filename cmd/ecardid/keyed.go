package main

import (
	"fmt"

	"ecardid/authn/recovery"
	"ecardid/internal/seal"
	"ecardid/oauth"
	"ecardid/server"
)

// What the command line stores as a hash, the server looks up as a hash: the keys
// below are derived as package server derives them, and a test holds the two
// together.

// codeHash is the keyed hash over activation codes.
func codeHash(keys *seal.Keys) recovery.Keyed {
	return func(message []byte) ([]byte, error) { return keys.Index("recovery", string(message)), nil }
}

// clientSecrets is the keyed hash over client secrets.
func clientSecrets(keys *seal.Keys) (oauth.Keyed, error) {
	key, err := keys.MAC(seal.ClientSecret, []byte("derive"), []byte(server.ClientSecrets))
	if err != nil {
		return oauth.Keyed{}, fmt.Errorf("deriving the key over client secrets: %w", err)
	}
	return oauth.NewKeyed(key)
}
