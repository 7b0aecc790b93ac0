// Package e2e walks through the whole house as its visitors do: a person with a
// browser, a relying party, a phone, and whoever forges a hop. It holds tests only;
// browser drives Chromium, house starts the programs and plays the visitors that
// need no browser.
//
// gallery_test.go looks at every page there is, without a server. The walks begin
// at the demo's relying party and end at the tokens it verified; the rest speaks
// HTTP, because what must not work is rarely offered by a page.
package e2e
