// Package footprint keeps a serving process small (DESIGN §6, memory). Starting needs
// things that serving never needs again: what was read to build the house, and the
// parts of the program that built it. Settle gives both back, once, and says how the
// collector is to work from then on. It is for whoever runs a server, and for the
// benchmarks that measure one.
package footprint
