package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ecardid/audit"
	"ecardid/cmd/ecardid/internal/config"
	"ecardid/internal/clock"
	"ecardid/internal/jose"
	"ecardid/storage"
)

// A notary attests now and then how far the audit trail goes, and brings that to
// where whoever can reach the database cannot. Every replica has one: a checkpoint
// too many hurts nobody.
//
// It remembers what it attested last, and signs nothing over a trail that this is no
// part of any more. Without a place to bring checkpoints to, it watches all the same.
type notary struct {
	store  *storage.Store
	issuer string
	to     config.Checkpoint
	post   func(ctx context.Context, url, contentType string, body []byte) (int, error)
	alarm  *trailAlarm
	clock  clock.Clock
	log    *slog.Logger

	last audit.Head
}

// ready fails if checkpoints could not be brought where they belong, and reads what was
// attested before this process began.
func (n *notary) ready() error {
	if n.to.File == "" {
		return nil
	}
	if err := appendLine(n.to.File, ""); err != nil {
		return fmt.Errorf("audit.checkpoint.file: %w", err)
	}
	keys, err := checkpointKeys(n.store)
	if err != nil {
		return err
	}
	n.last, err = lastAttested(n.to.File, n.issuer, keys)
	if err != nil {
		return fmt.Errorf("audit.checkpoint.file: %w", err)
	}
	return nil
}

// lastAttested is the head of the last checkpoint in a file that is of this issuer and
// signed by these keys; zero without one.
func lastAttested(path, issuer string, keys jose.Keyset) (audit.Head, error) {
	const tail = 64 << 10 // some hundred of them
	f, err := os.Open(path)
	if err != nil {
		return audit.Head{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return audit.Head{}, err
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(info.Size()-tail, 0), tail))
	if err != nil {
		return audit.Head{}, err
	}
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		// Others may keep theirs in the same file, and a crash leaves half a line.
		if c, err := audit.ParseCheckpoint(strings.TrimSpace(line), keys); err == nil && c.Issuer == issuer {
			return c.Head, nil
		}
	}
	return audit.Head{}, nil
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
		n.alarm.sound(ctx, err)
	}
	return err == nil
}

func (n *notary) try(ctx context.Context) error {
	head, err := n.store.AuditHead(ctx, n.last)
	if err != nil {
		return err // and last stays: who comes later is to see it too
	}
	n.last = head
	if n.to.File == "" && n.to.URL == "" {
		return nil
	}
	line, err := signCheckpoint(n.store, audit.Checkpoint{Issuer: n.issuer, Head: head, At: n.clock.Now()})
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

// A trailAlarm tells of a trail that is not what it was: in the log, to whoever reads the
// metrics, and, because entries are still written, in the trail itself.
type trailAlarm struct {
	journal audit.Journal
	count   func(word string) // of a metric; nil: none
	clock   clock.Clock
	log     *slog.Logger

	mu   sync.Mutex
	told string // what is wrong, so that it is an entry once and not each time somebody looks
}

// sound does so if that is what err says. Errors of other kinds are no alarm.
func (a *trailAlarm) sound(ctx context.Context, err error) {
	wrong := new(audit.TrailError)
	if a == nil || !errors.As(err, &wrong) {
		return
	}
	if a.count != nil {
		a.count("trail")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.told == wrong.Error() {
		return
	}
	e := audit.Event{Kind: audit.TrailBroken, At: a.clock.Now(), Actor: audit.BySystem, Reason: wrong.Cause.Error()}
	if wrong.Number > 0 {
		e.Detail = map[string]string{"entry": strconv.FormatInt(wrong.Number, 10)}
	}
	if err := a.journal.Record(context.WithoutCancel(ctx), e); err != nil {
		a.log.ErrorContext(ctx, "alarm not recorded", "alarm", true, "cause", err)
		return
	}
	a.told = wrong.Error()
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
