package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile   = 256 << 10
	maxSecret = 64 << 10
)

// A Need says which parts a command cannot do without. What is there is checked
// whatever the need.
type Need int

// The needs, each including the ones before it.
const (
	NeedDatabase Need = iota // migrate
	NeedKeys                 // everything an operator does
	NeedServer               // serve
)

// A Secret is text that is better kept elsewhere: {file: PATH} or {env: NAME}. A
// database without a password in its DSN may be written down as it is.
type Secret struct {
	File string `yaml:"file"`
	Env  string `yaml:"env"`

	inline string
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Secret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		if n.Tag != "!!str" {
			return fmt.Errorf("line %d: want text, {file: PATH} or {env: NAME}", n.Line)
		}
		s.inline = n.Value
		return nil
	}
	// A decoder inside a decoder forgets that keys must be known.
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i].Value; n.Kind != yaml.MappingNode || k != "file" && k != "env" {
			return fmt.Errorf("line %d: want {file: PATH} or {env: NAME}", n.Line)
		}
	}
	type plain Secret
	return n.Decode((*plain)(s))
}

// IsZero reports whether nothing was named.
func (s Secret) IsZero() bool { return s == Secret{} }

// Source says where the secret comes from, for messages.
func (s Secret) Source() string {
	switch {
	case s.File != "":
		return "file " + s.File
	case s.Env != "":
		return "environment variable " + s.Env
	}
	return "the configuration file"
}

// Read fetches the secret.
func (s Secret) Read() (string, error) {
	switch {
	case s.File != "" && s.Env != "" || s.inline != "" && (s.File != "" || s.Env != ""):
		return "", errors.New("named twice: by file or by env, not both")
	case s.File != "":
		b, err := readSecret(s.File)
		return strings.TrimSpace(string(b)), err
	case s.Env != "":
		v, ok := os.LookupEnv(s.Env)
		if !ok || strings.TrimSpace(v) == "" {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return strings.TrimSpace(v), nil
	}
	return s.inline, nil
}

func readFile(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, path, most)
}

// readSecret reads a file that nobody but its owner may read.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := private(f, path); err != nil {
		return nil, err
	}
	return readAll(f, path, maxSecret)
}

// private looks at the open file, so that the one that is read is the one that was
// looked at. Windows keeps its rules elsewhere. systemd may give a credential to us by
// an access-control list, whose mask shows as the group's right to read; nobody else
// gets into the folder.
func private(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	others := fs.FileMode(0o077)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		others = 0o037
	}
	if mode := info.Mode().Perm(); mode&others != 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("%s has mode %04o, so that others than its owner may use it: chmod 0400, or hand it over as {env: NAME}", path, mode)
	}
	return nil
}

func readAll(f io.Reader, path string, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s is longer than %d kB", path, most>>10)
	}
	return b, nil
}

// Problems is everything that is wrong with a file.
type Problems struct {
	File string
	List []string
}

func (p *Problems) Error() string {
	if len(p.List) == 1 {
		return p.File + ": " + p.List[0]
	}
	return fmt.Sprintf("%s: %d problems:\n  - %s", p.File, len(p.List), strings.Join(p.List, "\n  - "))
}

// Load reads and checks the file. Its paths are relative to the file's folder.
func Load(path string, need Need) (*Config, error) {
	b, err := readFile(path, maxFile)
	if err != nil {
		var where *fs.PathError
		if errors.As(err, &where) {
			err = where.Err // the path is said already
		}
		return nil, &Problems{path, []string{"the configuration cannot be read: " + err.Error()}}
	}
	c, err := Parse(b)
	if err != nil {
		return nil, &Problems{path, yamlProblems(err)}
	}
	c.anchor(filepath.Dir(path))
	if list := c.check(need); len(list) > 0 {
		return nil, &Problems{path, list}
	}
	return c, nil
}

// Parse reads the text and looks at nothing but its form.
func Parse(text []byte) (*Config, error) {
	c := Defaults()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more than one document in it")
	}
	return &c, nil
}

// yamlProblems turns the decoder's list into ours. Its lines name the line.
func yamlProblems(err error) []string {
	var all *yaml.TypeError
	if errors.As(err, &all) {
		list := make([]string, len(all.Errors))
		for i, e := range all.Errors {
			list[i] = strings.ReplaceAll(strings.ReplaceAll(e, " in type config.Config", ""), " in type config.", " in ")
		}
		return list
	}
	return []string{strings.TrimPrefix(err.Error(), "yaml: ")}
}

// anchor makes paths relative to the file they are written in.
func (c *Config) anchor(dir string) {
	for _, p := range []*string{
		&c.Database.File, &c.KEK.File, &c.TLS.Certificate, &c.TLS.Key, &c.Catalogue,
		&c.Liveness.Keys, &c.Liveness.SigningKey.File, &c.Limits.LeakedPasswords, &c.MTLS.ClientCA, &c.Outbound.CA, &c.Audit.Checkpoint.File, &c.Phones.Android.Roots, &c.Phones.Android.Revoked, &c.Risk.Rules, &c.Risk.Places,
	} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if rest, ok := strings.CutPrefix(c.Database.inline, "sqlite:"); ok && rest != "" && !filepath.IsAbs(rest) {
		c.Database.inline = "sqlite:" + filepath.Join(dir, rest)
	}
}
