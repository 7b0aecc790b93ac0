// Command ecardid is the identity provider behind an electronic social-security
// card: the server, the tools its operators use, and a demonstration of it all on
// one machine. It is the only room that knows which database there is.
//
//	main.go, root.go   commands, exit codes, how errors are said
//	serve.go           listeners, background work, graceful end
//	wire.go            configuration → ingredients → server
//	citizen.go …       one file a command
//	demo*.go           everything on one machine
//	internal/config    the configuration file
//	internal/roster    the table of citizens to import
//	internal/pension   the demo's relying party
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"syscall"

	"ecardid/internal/clock"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who asks a second time does not want to wait
	code := run(ctx, &env{in: os.Stdin, out: os.Stdout, err: os.Stderr, clock: clock.System{}, rand: rand.Reader}, os.Args[1:])
	stop()
	os.Exit(code)
}
