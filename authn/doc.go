// Package authn answers one question: who is this? It walks a citizen through
// signing in (DESIGN D6, D7), keeps the browser's session, and changes a
// citizen's own factors and devices.
//
// # A login is one stored transaction
//
// [Service.Raise] stores a [Flow]: what is needed, where to go afterwards, and the
// browser it belongs to. From then on one pure function, [Next], looks at what the
// flow has proved and says what it still owes:
//
//	Identify ── password | passkey
//	   │
//	Factor ──── totp | passkey | phone | recovery ──► Enrol (a new factor)
//	   │
//	Liveness ── only where the need says live
//	   │
//	Device ──── remember this browser?
//	   │
//	Done ────── a new session, and back to who asked
//
// Every handler loads the flow of its own browser, asks Next, does its work only
// if that is the flow's step, and moves the flow by one conditional write; of two
// answers to one step one wins. No URL, back button, second tab or edited form
// chooses the step (SECURITY G3, G4). What was needed is read from the stored flow
// at the end, whichever path led there.
//
// As soon as what was asked for is proved, and before anything comes of it, the sign-in
// is weighed by rules (weigh.go, package risk): it goes on, has to prove more, waits for
// some minutes, or ends here.
//
// First contact is the same machine with three steps before it: card and
// activation code, password, greeting. Nothing of it is stored outside the flow
// before the second factor is confirmed, so that whoever gives up half way can
// begin again with the same code.
//
// # A loss is one form
//
// /lost (lost.go) is no flow: a number and any one factor, and package loss has storage
// end all of it in one transaction. Nothing is kept between two pages. What was found
// comes back in found.go, which is dearer; relatives.go is about those who may report for
// somebody else. A key that lives on a device and is new makes what is of high value wait
// like a new phone does, but not at first contact: then there is no owner of before.
//
// # Neighbours
//
// password, totp, passkey, phone and recovery know one factor each and keep
// nothing; risk decides and keeps nothing either; liveness asks the provider. This
// package joins them, counts attempts, writes the audit trail and remembers through
// store.go, which storage implements.
// oauth asks through identity.Need and never imports us; account calls the methods
// that change factors and devices, which look at how fresh the login is
// themselves. Pages are templates'; mounting routes, CSRF tokens, Origin checks
// and headers are server's.
package authn
