// Package browser drives a real Chromium for tests: one process per test binary,
// one isolated browser context per [New]. It speaks in verbs a person would use
// (Go, Fill, Press, Text) and fails the test itself, with a screenshot and the
// page's source in e2e/shots, so that a walk reads like the journey it walks.
//
// Every tab watches for Content-Security-Policy reports and script errors and
// fails its test at the end if there were any; a test that causes them on purpose
// says so with [Tab.Forgive].
//
// A missing Chromium fails the test and names the package to install: a page
// nobody looked at is never passed over in silence.
//
// A package that uses it stops the browser when its tests are over:
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		browser.Close()
//		os.Exit(code)
//	}
package browser
