// Package identity is the vocabulary every room shares: ids, the assurance
// ladder, a login and what somebody needs of it, the states of a card and of a
// device. It holds nouns and pure functions; it opens no file and no connection.
//
// authn (who is this?) and oauth (what may this client know?) do not import each
// other. They meet in the types of this package: oauth says what it needs
// (Need), authn shows what there is (Login), and Login.Meets compares the two.
package identity
