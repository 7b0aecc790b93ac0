package encrypt

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v3"

	"ecardid/oauth"
)

// Documents finds the JWK Set of a client, as the client wrote it: oauth/clientkeys.
type Documents interface {
	Document(ctx context.Context, c *oauth.Client) ([]byte, error)
}

// An Encrypter encrypts to clients.
type Encrypter struct{ Documents Documents }

// Ready reports whether the client has a key that fits, and enc is one of ours.
func (e Encrypter) Ready(ctx context.Context, c *oauth.Client, alg, enc string) error {
	_, err := e.recipient(ctx, c, alg, enc)
	return err
}

// Encrypt returns plain as a compact JWE that only the client can read. nested says
// that plain is a JWT.
func (e Encrypter) Encrypt(ctx context.Context, c *oauth.Client, alg, enc string, nested bool, plain []byte) (string, error) {
	to, err := e.recipient(ctx, c, alg, enc)
	if err != nil {
		return "", err
	}
	options := &jose.EncrypterOptions{}
	if nested {
		options = options.WithContentType("JWT")
	}
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc), to, options)
	if err != nil {
		return "", fmt.Errorf("encrypting to client %s: %w", c.ID, err)
	}
	sealed, err := encrypter.Encrypt(plain)
	if err != nil {
		return "", fmt.Errorf("encrypting to client %s: %w", c.ID, err)
	}
	compact, err := sealed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("encrypting to client %s: %w", c.ID, err)
	}
	return compact, nil
}

func (e Encrypter) recipient(ctx context.Context, c *oauth.Client, alg, enc string) (jose.Recipient, error) {
	if !slices.Contains(oauth.EncryptionAlgs(), alg) || !slices.Contains(oauth.EncryptionEncs(), enc) {
		return jose.Recipient{}, fmt.Errorf("encrypting to client %s: %q with %q is not offered", c.ID, alg, enc)
	}
	set, err := e.Documents.Document(ctx, c)
	if err != nil {
		return jose.Recipient{}, fmt.Errorf("encrypting to client %s: %w", c.ID, err)
	}
	k, err := choose(set, alg)
	if err != nil {
		return jose.Recipient{}, fmt.Errorf("encrypting to client %s: %w", c.ID, err)
	}
	return jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: k.public, KeyID: k.kid}, nil
}
