// Package catalogue holds the scope catalogue (DESIGN D6): for each scope the
// least acr, the claims, the resource, the form of its access tokens and the
// words for people. It is one YAML file, read strictly and whole; the one that
// is shipped is inside the binary. A catalogue never changes once it is read.
//
// Claims asked for by name (OpenID Connect Core §5.5) go by the same file: a client may
// ask for those that its scopes could bring, and consents name them "claim:NAME".
package catalogue
