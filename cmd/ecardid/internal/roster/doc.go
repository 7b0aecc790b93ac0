// Package roster reads the table of citizens an operator imports and writes the
// table of activation codes that comes of it. It checks every row and says what
// is wrong with which, never repeating a value: the report may end up in a log.
// Whether a number is somebody's already, storage knows.
package roster
