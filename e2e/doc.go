// Package e2e walks through the whole house as its visitors do: a person with a
// browser, a relying party, a phone, and whoever forges a hop. It holds tests only;
// browser drives Chromium, house opens the server and starts the program, and plays
// the visitors that need no browser.
//
//	gallery_test.go    every page there is, without a server
//	demo_test.go       `ecardid demo` in a browser, from its relying party's buttons to the tokens it verified
//	serve_test.go      `ecardid serve` on PostgreSQL: two replicas and an operator's first day
//	walk_test.go       refusals, consent, no JavaScript, languages, redirect chains under the policy
//	answers_test.go    payments, single claims, pushed requests, answers that are signed or come in a form
//	logout_test.go     the end of a session, asked for by an application, told to others
//	device_test.go     a machine without a browser and the page where its code is typed
//	bank_test.go       FAPI 2.0 Message Signing on both databases; everything with SM2
//	mutual_test.go     `ecardid serve` with certificates: who a client is, and what tokens are bound to
//	factors_test.go    passkeys, phones, liveness: what they answer besides yes
//	account_test.go    the citizen's own pages
//	order_test.go      every address from every half-finished step
//	once_test.go       twenty at once for whatever may happen once
//	later_test.go      what happens later beats what was granted earlier
//	doors_test.go      every way in, before, while and after somebody ends it all
//	killed_test.go     a report of a loss that is killed, or whose server is: all of it or nothing
//	lag_test.go        how long after the end somebody was let in, and until receivers of signals were told
//	risk_test.go       a sign-in while somebody tries many doors, and from a crowded address
//	same_test.go       who exists cannot be told from an answer
//	forged_test.go     forged requests, cookies, ways back, limits, headers
//	dump_test.go       what a thief finds in the database; dead links
//
// Screenshots of every page a walk comes by are in e2e/shots afterwards, and of every
// tab whose test failed, with its source.
//
// ECARDID_E2E_ROUNDS=50 runs each race that often, ECARDID_E2E_TIMING=500 measures
// the time of answers over that many samples, ECARDID_TEST_CHROMIUM names another
// browser.
package e2e
