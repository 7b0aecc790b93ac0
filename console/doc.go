// Package console is where staff work, /console and below. Everything a member of
// staff can do to somebody is an [Act] with a row in one table: which roles may ask
// for it, which may approve it, how many have to, and whether it wants a fresh passkey
// and a reason. Pages, the JSON API and the tests read that table and nothing else
// (SECURITY AD1).
//
//	who       a Session: staff sign in with passkeys only, and with no citizen's session
//	what      an Order: an act, on whom, why
//	may they  Permit(roles, act), and Within(unit) for the citizen
//	Do        performs it at once, or files a Request for others to approve
//	Approve   the last approval performs it, each of its warrants once
//
// The powers are separated (三员分立): who administers does not approve what they ask
// for, and who reads the trail does nothing else. Nobody touches their own role, their
// own requests or the last of those three. An invitation's code has two halves, one told
// to who asked and one to who approved: nobody makes their own second person.
//
// Citizens' personal data is masked wherever it is shown. To see one field takes the act
// citizen.reveal: a fresh passkey, a reason and an entry in the trail, which the citizen
// reads on their account page.
//
// The room knows no oauth: clients, streams and consents come through small interfaces,
// put into words by server. Pages are templates'; CSRF tokens, Origin checks and headers
// are server's, before any of this runs.
package console
