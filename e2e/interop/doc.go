// Package interop shows other people's libraries that they can work with this
// server, and strangers how. Each folder is an example to be copied, with its
// versions written out, and nothing in it knows more than its environment tells:
//
//	go       coreos/go-oidc and x/oauth2 as relying party; package rp as API
//	node     openid-client: PAR, private_key_jwt and DPoP, as profile fapi2 wants them
//	python   Authlib with Flask: PKCE and private_key_jwt
//	java     Spring Security: a sign-in with PKCE, and an API that verifies our JWTs
//	sm2      sm-crypto: client assertions and tokens signed with SGD_SM3_SM2
//
// `make interop` copies them elsewhere, installs what their lock files name, starts
// them beside `ecardid serve` and has a citizen sign in at each; every application
// then calls somebody else's API with its token. It needs the registries of npm,
// PyPI and Maven and takes minutes, so it is not part of `make test`; there only
// the exchange of SM2 signatures with sm-crypto runs.
package interop
