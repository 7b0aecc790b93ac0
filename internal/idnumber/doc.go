// Package idnumber reads the numbers a citizen is known by: the citizen identity
// number (GB 11643-1999), the mainland mobile number and the number printed on a
// social-security card. What it returns is normalised, so that one number has
// one spelling and so one blind index (internal/seal), and it prints masked, so
// that a number in a log line or on a page has been asked for by name (Reveal).
//
// Foreigners' social-security numbers follow another rule and are not read here;
// neither is the fifteen-digit number that ended in 2013.
package idnumber
