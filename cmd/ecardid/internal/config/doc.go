// Package config reads the one file that ecardid is configured with. It is strict:
// a key it does not know, a key written twice, a secret that cannot be read and a
// setting that weakens a rule are all refused, all at once and before anything
// listens (DESIGN §5). Whatever is left out has a default that is right for
// production, except who we are (issuer), what unlocks the data (kek), where it
// lies (database) and who checks for a living person (liveness).
package config
