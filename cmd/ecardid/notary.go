package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/internal/clock"
	"ecardid/storage"
)

// A notary attests now and then how far the audit trail goes, and brings that to
// where whoever can reach the database cannot. Every replica has one: a checkpoint
// too many hurts nobody.
type notary struct {
	store  *storage.Store
	issuer string
	to     config.Checkpoint
	post   func(ctx context.Context, url, contentType string, body []byte) (int, error)
	clock  clock.Clock
	log    *slog.Logger
}

// ready reports whether there is something to do, and fails if it could not be done.
func (n *notary) ready() (bool, error) {
	if n.to.File != "" {
		if err := appendLine(n.to.File, ""); err != nil {
			return false, fmt.Errorf("audit.checkpoint.file: %w", err)
		}
	}
	return n.to.File != "" || n.to.URL != "", nil
}

// run attests at once and then at intervals, until ctx ends.
func (n *notary) run(ctx context.Context) {
	for {
		wait := n.to.Every
		if !n.attest(ctx) {
			wait = min(wait, chainRest)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// attest brings one checkpoint to everywhere it belongs and reports whether it
// arrived.
func (n *notary) attest(ctx context.Context) bool {
	err := n.try(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.ErrorContext(ctx, "no checkpoint of the audit trail", "alarm", true, "cause", err)
	}
	return err == nil
}

func (n *notary) try(ctx context.Context) error {
	line, _, err := checkpoint(ctx, n.store, n.issuer, n.clock.Now())
	if err != nil {
		return err
	}
	var wrong []error // one place that fails does not keep it from the other
	if n.to.File != "" {
		wrong = append(wrong, appendLine(n.to.File, line))
	}
	if n.to.URL != "" {
		status, err := n.post(ctx, n.to.URL, "application/jose", []byte(line))
		if err == nil && (status < http.StatusOK || status >= http.StatusMultipleChoices) {
			err = fmt.Errorf("audit.checkpoint.url answered %d", status)
		}
		wrong = append(wrong, err)
	}
	return errors.Join(wrong...)
}

// checkpoint signs where the trail ends.
func checkpoint(ctx context.Context, s *storage.Store, issuer string, now time.Time) (string, audit.Head, error) {
	head, err := s.AuditHead(ctx)
	if err != nil {
		return "", audit.Head{}, err
	}
	line, err := signCheckpoint(s, audit.Checkpoint{Issuer: issuer, Head: head, At: now})
	return line, head, err
}

func signCheckpoint(s *storage.Store, c audit.Checkpoint) (string, error) {
	key, err := s.CheckpointKey()
	if err != nil {
		return "", err
	}
	return c.Sign(key)
}

// appendLine adds a line to a file and waits until it is on the disk. What a crash
// left half-written stays a line of its own. Without a line it only looks whether
// that would work.
func appendLine(path, line string) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if line == "" {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if size := info.Size(); size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return err
	}
	return f.Sync()
}
