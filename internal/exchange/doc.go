// Package exchange is what handlers have in common: it reads what a browser or an
// app posts, strictly (SECURITY G8, DS1), and writes JSON. The rooms say what an
// error looks like from outside; the ones here tell them apart. The server has
// looked at every request before they do, and they do not rely on it.
//
// oauth/form reads the parameters of OAuth, which has rules of its own for what is
// unknown, empty or there twice.
package exchange
