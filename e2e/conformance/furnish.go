package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
)

//go:embed plans/*.json clients/*.json
var files embed.FS

// parts are the templates of a folder, by file name and by what they define.
func parts(folder string) (*template.Template, error) {
	return template.New(folder).Delims("<<", ">>").Option("missingkey=error").ParseFS(files, folder+"/*.json")
}

// A registration is what the templates of clients/ know, and what the suite is told
// about the application afterwards.
type registration struct {
	Plan                        plan
	Role, ID, Alias, Suite, Alg string
	Cert, CertPEM, KeyPEM       string // the last two quoted, as JSON
	Private, Public, CertJWK    string // JSON
	Secret                      string
}

// algorithms of the two clients' keys: one of each kind that FAPI allows.
func algorithm(role string) string {
	if role == "client" {
		return "PS256"
	}
	return "ES256"
}

func (k *keychain) registration(p plan, role, suiteURL string) (*registration, error) {
	id := p.Key + "-" + strings.ReplaceAll(role, "_", "-")
	r := &registration{Plan: p, Role: role, ID: id, Alias: p.Key, Suite: suiteURL, Alg: algorithm(role)}
	if p.Auth == "" {
		return r, nil
	}
	key, err := k.jwk(id, r.Alg)
	if err != nil {
		return nil, err
	}
	r.Cert = id
	if p.Auth == mtls && role != "client" {
		r.Cert = "self-" + id
	}
	cert, err := k.cert(r.Cert)
	if err != nil {
		return nil, err
	}
	certKey, err := cert.keyPEM()
	if err != nil {
		return nil, err
	}
	own, err := cert.public(r.Cert)
	if err != nil {
		return nil, err
	}
	for to, value := range map[*string]any{
		&r.Private: key.private, &r.Public: key.public, &r.CertJWK: own, &r.CertPEM: string(cert.certPEM()), &r.KeyPEM: string(certKey),
	} {
		b, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		*to = string(b)
	}
	return r, nil
}

// A setting is what the templates of plans/ know.
type setting struct {
	Plan                     plan
	Issuer, Suite, Alias     string
	Resource                 string
	Certificates             bool
	Client, Client2, Post    *registration
	Holder, Password         string
	Refuser, RefuserPassword string
}

func newSetting(p plan, suiteURL string) *setting {
	s := &setting{
		Plan: p, Issuer: issuer, Suite: suiteURL, Alias: p.Key, Certificates: p.Auth == mtls || p.Bind == mtls,
		Holder: holder.id, Password: holder.password, Refuser: refuser.id, RefuserPassword: refuser.password,
		Resource: issuer + "/userinfo",
	}
	switch {
	case p.Variant["openid"] == plainOAuth:
		scope, _, _ := strings.Cut(p.Scope, " ")
		s.Resource = resourceBase + "/" + scope
	case p.Bind == mtls:
		s.Resource = mtlsBase + "/userinfo"
	}
	return s
}

// client is the place of the application in that role.
func (s *setting) client(role string) **registration {
	switch role {
	case "client":
		return &s.Client
	case "client2":
		return &s.Client2
	}
	return &s.Post
}

// furnish registers the plan's applications and writes the suite's configuration.
func furnish(ctx context.Context, o *op, p plan, suiteURL string) ([]byte, error) {
	shapes, err := parts("clients")
	if err != nil {
		return nil, err
	}
	s := newSetting(p, suiteURL)
	for _, role := range p.roles() {
		r, err := o.keys.registration(p, role, suiteURL)
		if err != nil {
			return nil, err
		}
		doc, err := fill(shapes, p.Clients[role], r)
		if err != nil {
			return nil, err
		}
		if r.Secret, err = o.apply(ctx, doc); err != nil {
			return nil, fmt.Errorf("registering %s: %w", r.ID, err)
		}
		o.secrets[r.ID] = r.Secret
		*s.client(role) = r
	}
	configs, err := parts("plans")
	if err != nil {
		return nil, err
	}
	return fill(configs, p.Config, s)
}

// fill executes a template, whose result is JSON.
func fill(t *template.Template, name string, data any) ([]byte, error) {
	var b, tidy bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return nil, err
	}
	if err := json.Indent(&tidy, b.Bytes(), "", "  "); err != nil {
		return nil, fmt.Errorf("%s is no JSON when it is filled in: %w", name, err)
	}
	return tidy.Bytes(), nil
}
