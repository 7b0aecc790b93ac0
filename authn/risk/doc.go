// Package risk weighs a sign-in: given what is known about it and the rules of the
// operator, may it go on? It reads nothing and remembers nothing; [Compare] turns
// what storage remembers into facts, [Policy.Decide] turns facts into a [Decision],
// and both are pure.
//
// A decision is the strictest of the rules that match:
//
//	allow < step-up < hold < refuse
//
// A step-up raises what this sign-in has to prove. A hold is a pause of minutes, for
// this citizen from this source, that is over by itself (SECURITY PW3); the rule that
// made it does not count again for an hour. A refusal lasts as long as its facts do.
// What cannot be known is never a reason to let somebody in (SECURITY G5).
//
// Rules and their own tests are one YAML file (read.go); a file whose tests fail is
// not loaded. Places are a CSV table of the operator's (places.go).
//
// authn collects the facts, acts on the decision and writes it into the trail;
// storage keeps the sign-ins of before and the holds.
package risk
