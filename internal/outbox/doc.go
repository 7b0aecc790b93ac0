// Package outbox is how what lies in a database's outbox is carried to others: in rounds,
// and later again with longer waits. What is carried, who may take it and when it is
// settled is the caller's.
package outbox
