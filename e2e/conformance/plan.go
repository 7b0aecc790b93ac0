package main

import (
	"maps"
	"slices"
)

// A plan is one of the suite's, in the variant we run, with the applications it needs.
type plan struct {
	Key     string // ours
	Name    string // the suite's
	Variant map[string]string
	Config  string // template in plans/
	// Clients are the applications registered beforehand: the role the suite gives
	// one, and its template in clients/. Their ids are Key-role.
	Clients map[string]string
	// Request and Answer are what FAPI clients hold themselves to beyond the profile.
	SignedRequests, JARM bool
	// Auth and Bind choose how FAPI clients prove who they are and what their tokens
	// are bound to.
	Auth, Bind string
	// Told is whom something happens to while a module waits to be told of it.
	Told    *citizen
	Scope   string // what FAPI clients ask for
	Ceiling string // what they may have: more, for the claims parameter
}

// roles lists those of its applications, always in the same order.
func (p plan) roles() []string { return slices.Sorted(maps.Keys(p.Clients)) }

// Values of the suite's variants.
const (
	privateKey = "private_key_jwt"
	mtls       = "mtls"
	dpop       = "dpop"
	openID     = "openid_connect"
	plainOAuth = "plain_oauth"
	machine    = "fapi_client_credentials_grant"
)

// plans lists what is run, in that order.
func plans() []plan {
	dynamic := map[string]string{"server_metadata": "discovery", "client_registration": "dynamic_client"}
	static := map[string]string{"server_metadata": "discovery", "client_registration": "static_client"}
	leaving := map[string]string{"response_type": "code", "client_registration": "dynamic_client"}
	relying := map[string]string{"client": "basic.json", "client2": "basic.json", "client_secret_post": "post.json"}
	all := []plan{
		{Key: "config", Name: "oidcc-config-certification-test-plan", Config: "oidcc-dynamic.json"},
		{Key: "basic-dynamic", Name: "oidcc-basic-certification-test-plan", Variant: dynamic, Config: "oidcc-dynamic.json"},
		{Key: "basic-static", Name: "oidcc-basic-certification-test-plan", Variant: static, Config: "oidcc-static.json", Clients: relying},
		{Key: "formpost-dynamic", Name: "oidcc-formpost-basic-certification-test-plan", Variant: dynamic, Config: "oidcc-dynamic.json"},
		{Key: "formpost-static", Name: "oidcc-formpost-basic-certification-test-plan", Variant: static, Config: "oidcc-static.json", Clients: relying},
		{Key: "rp-initiated", Name: "oidcc-rp-initiated-logout-certification-test-plan", Variant: leaving, Config: "oidcc-dynamic.json"},
		{Key: "backchannel", Name: "oidcc-backchannel-rp-initiated-logout-certification-test-plan", Variant: leaving, Config: "oidcc-dynamic.json"},
		{Key: "frontchannel", Name: "oidcc-frontchannel-rp-initiated-logout-certification-test-plan", Variant: leaving, Config: "oidcc-dynamic.json"},
		{
			Key: "3rdparty-init", Name: "oidcc-3rdparty-init-login-certification-test-plan",
			Variant: map[string]string{"response_type": "code"}, Config: "oidcc-dynamic.json",
		},
	}
	return append(all,
		fapi("fapi-openid", privateKey, dpop, openID),
		fapi("fapi-plain", privateKey, dpop, plainOAuth),
		fapi("fapi-key-cert", privateKey, mtls, openID),
		fapi("fapi-cert-cert", mtls, mtls, openID),
		machines("fapi-machine", privateKey, dpop),
		machines("fapi-machine-cert", mtls, mtls),
		signing("fapi-jar", "plain_response"),
		signing("fapi-jarm", "jarm"),
		sharing("ssf-push", "openid-ssf-transmitter-test-plan", "push", nil),
		sharing("ssf-poll", "openid-ssf-transmitter-test-plan", "poll", nil),
		sharing("ssf-caep-push", "openid-ssf-transmitter-caep-test-plan", "push", &toldByPush),
		sharing("ssf-caep-poll", "openid-ssf-transmitter-caep-test-plan", "poll", &toldByPoll),
	)
}

// sharing is one of the plans for a transmitter of shared signals.
func sharing(key, name, delivery string, told *citizen) plan {
	p := plan{
		Key: key, Name: name, Config: "ssf.json", Told: told,
		Variant: map[string]string{
			"client_auth_type": "client_secret_basic", "client_registration": "static_client", "server_metadata": "discovery",
			"ssf_auth_mode": "dynamic", "ssf_delivery_mode": delivery, "ssf_server_metadata": "discovery",
		},
		Clients: map[string]string{"client": "receiver.json"},
	}
	if told == nil {
		p.Variant["ssf_profile"] = "default"
	}
	return p
}

func fapi(key, auth, bind, kind string) plan {
	scope, ceiling := "openid profile offline_access", "openid profile email address phone offline_access"
	if kind == plainOAuth {
		scope, ceiling = "documents offline_access", "documents offline_access"
	}
	return plan{
		Key: key, Name: "fapi2-security-profile-final-test-plan", Config: "fapi.json", Auth: auth, Bind: bind, Scope: scope, Ceiling: ceiling,
		Variant: map[string]string{
			"fapi_profile": "plain_fapi", "openid": kind, "client_auth_type": auth, "sender_constrain": bind,
			"authorization_request_type": "simple",
		},
		Clients: map[string]string{"client": "fapi.json", "client2": "fapi.json"},
	}
}

func machines(key, auth, bind string) plan {
	p := fapi(key, auth, bind, plainOAuth)
	p.Variant["fapi_profile"] = machine
	p.Scope, p.Ceiling = "records", "records"
	p.Clients = map[string]string{"client": "machine.json", "client2": "machine.json"}
	return p
}

func signing(key, mode string) plan {
	p := fapi(key, privateKey, dpop, openID)
	p.Name = "fapi2-message-signing-final-test-plan"
	p.Variant["fapi_request_method"], p.Variant["fapi_response_mode"] = "signed_non_repudiation", mode
	p.SignedRequests, p.JARM = true, mode == "jarm"
	return p
}
