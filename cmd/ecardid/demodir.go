package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ecardid/internal/jose"
)

// The files of a demo.
const (
	demoJSON       = "demo.json"
	demoConfig     = "ecardid.yaml"
	demoKEK        = "kek"
	demoOwnKey     = "liveness-signing.pem"
	demoProviders  = "liveness-provider.pem"
	demoProviderJW = "liveness-provider.jwks.json"
)

// prepareDir makes what a demo's folder lacks and writes its configuration, which
// knows today's ports. It returns the stand-in's signing key.
func prepareDir(dir string, at addresses) (jose.Key, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return jose.Key{}, err
	}
	if inside, err := os.ReadDir(dir); err != nil {
		return jose.Key{}, err
	} else if len(inside) == 0 {
		// It was there, empty, perhaps open to others; from now on it is ours.
		if err := os.Chmod(dir, 0o700); err != nil {
			return jose.Key{}, err
		}
	}
	kek := make([]byte, 32)
	if _, err := rand.Read(kek); err != nil {
		return jose.Key{}, err
	}
	if err := writeOnce(filepath.Join(dir, demoKEK), []byte(hex.EncodeToString(kek)+"\n")); err != nil {
		return jose.Key{}, err
	}
	if _, err := keyFile(filepath.Join(dir, demoOwnKey)); err != nil {
		return jose.Key{}, err
	}
	provider, err := keyFile(filepath.Join(dir, demoProviders))
	if err != nil {
		return jose.Key{}, err
	}
	set, err := jose.NewSet(provider)
	if err != nil {
		return jose.Key{}, err
	}
	public, err := json.Marshal(set)
	if err != nil {
		return jose.Key{}, err
	}
	if err := writeNew(filepath.Join(dir, demoProviderJW), public); err != nil {
		return jose.Key{}, err
	}
	text := fmt.Sprintf(`# Written by "ecardid demo" at each start. It is for this machine and for trying
# things out: the liveness provider it names believes everybody.
issuer: %s
database: sqlite:ecardid.db
kek: {file: %s}
listen: %s
operations: {listen: %s}
authority:
  name: 电子社会保障卡（演示）
  english: Electronic Social Security Card (demo)
device_grant: true
liveness:
  name: %s
  title: 演示用真人检测 Stand-in
  url: %s
  keys: %s
  signing_key: {file: %s}
  development: true
`, at.issuer(), demoKEK, at.public.Addr(), at.operations.Addr(), standinName, at.liveness(), demoProviderJW, demoOwnKey)
	return provider, writeNew(filepath.Join(dir, demoConfig), []byte(text))
}

// writeOnce writes a file that is not there yet.
func writeOnce(path string, b []byte) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return writeNew(path, b)
}

// keyFile reads an ES256 key, making it first if need be.
func keyFile(path string) (jose.Key, error) {
	fresh, err := jose.Generate(jose.ES256, "new")
	if err != nil {
		return jose.Key{}, err
	}
	der, err := fresh.MarshalPKCS8()
	if err != nil {
		return jose.Key{}, err
	}
	if err := writeOnce(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})); err != nil {
		return jose.Key{}, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return jose.Key{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return jose.Key{}, fmt.Errorf("%s is not PEM", path)
	}
	key, err := jose.ParsePKCS8(jose.ES256, "unnamed", block.Bytes)
	if err != nil {
		return jose.Key{}, fmt.Errorf("%s: %w", path, err)
	}
	return jose.ParsePKCS8(jose.ES256, key.Thumbprint(), block.Bytes)
}
