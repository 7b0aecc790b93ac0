package browser

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// limit bounds each verb. Pages here answer in milliseconds; a password is hashed
// in under a second even when both cores are busy.
const limit = 20 * time.Second

// A Tab is one tab of the shared browser. It belongs to the goroutine of its test.
type Tab struct {
	t    testing.TB
	ctx  context.Context
	name string // of the test, fit for a file

	// Status of the last page that was asked for.
	Status int

	mu       sync.Mutex
	reports  []string // of the Content-Security-Policy
	faults   []string // uncaught script errors
	forgiven bool
}

// An Option sets a tab up before its first page.
type Option func(*Tab)

// New opens a tab with cookies and storage of its own.
func New(t testing.TB, opts ...Option) *Tab {
	t.Helper()
	return open(t, start(t), []chromedp.ContextOption{chromedp.WithNewBrowserContext()}, opts)
}

// Another opens a second tab of the same person: the same cookies.
func (b *Tab) Another(opts ...Option) *Tab {
	b.t.Helper()
	return open(b.t, b.ctx, nil, opts)
}

func open(t testing.TB, parent context.Context, with []chromedp.ContextOption, opts []Option) *Tab {
	t.Helper()
	b := &Tab{t: t, name: fileName(t.Name())}
	ctx, stop := chromedp.NewContext(parent, append(with, chromedp.WithListener(b.listen))...)
	b.ctx = ctx
	t.Cleanup(func() {
		b.finish()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil { // no deadline: it would be the tab's own
		t.Fatalf("opening a tab: %v", err)
	}
	call(b, audits.Enable, cdp.Empty{})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 1280, Height: 900, DeviceScaleFactor: 1})
	for _, o := range opts {
		o(b)
	}
	return b
}

// listen runs in the loop that reads the tab's messages and only takes notes.
func (b *Tab) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *audits.EventIssueAdded:
		if d := ev.Issue.Details; d != nil && d.ContentSecurityPolicyIssueDetails != nil {
			c := d.ContentSecurityPolicyIssueDetails
			b.reports = append(b.reports, fmt.Sprintf("%s blocked %q (%s)", c.ViolatedDirective, c.BlockedURL, c.ContentSecurityPolicyViolationType))
		}
	case *runtime.EventExceptionThrown:
		if d := ev.ExceptionDetails; d != nil {
			text := d.Text
			if d.Exception != nil {
				text += " " + d.Exception.Description
			}
			b.faults = append(b.faults, text)
		}
	}
}

// finish is what every tab is asked at the end of its test.
func (b *Tab) finish() {
	b.mu.Lock()
	reports, faults, forgiven := b.reports, b.faults, b.forgiven
	b.mu.Unlock()
	if !forgiven {
		for _, r := range reports {
			b.t.Errorf("Content-Security-Policy: %s", r)
		}
		for _, f := range faults {
			b.t.Errorf("script: %s", f)
		}
	}
	if b.t.Failed() && b.ctx.Err() == nil {
		b.evidence()
	}
}

// evidence keeps what the person would see.
func (b *Tab) evidence() {
	dir, err := shots()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	path := filepath.Join(dir, "failed-"+b.name)
	if png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100)); err == nil && os.WriteFile(path+".png", png, 0o644) == nil {
		b.t.Logf("see %s.png", path)
	}
	if html, err := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html"))); err == nil {
		_ = os.WriteFile(path+".html", []byte(html), 0o644)
	}
	if at, err := chromedp.Run(ctx, chromedp.Location()); err == nil {
		b.t.Logf("the tab was at %s", at)
	}
}

// Violations returns what the Content-Security-Policy reported so far.
func (b *Tab) Violations() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.reports...)
}

// Forgive keeps reports and script errors from failing the test.
func (b *Tab) Forgive() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgiven = true
}

// Speaking sets the languages the browser asks for, as in Accept-Language.
func Speaking(languages string) Option {
	return func(b *Tab) {
		b.t.Helper()
		ua := evaluate[string](b, "navigator.userAgent")
		call(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: ua, AcceptLanguage: languages})
	}
}

// NoScript switches JavaScript off.
func NoScript() Option {
	return func(b *Tab) {
		b.t.Helper()
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	}
}

// Script switches JavaScript on again, to look at a page that was made without.
func Script() Option {
	return func(b *Tab) {
		b.t.Helper()
		call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: false})
	}
}

// Phone makes the tab as narrow as a small phone, with touch.
func Phone() Option { return Wide(360, 740, true) }

// Wide sets the size of the window in CSS pixels.
func Wide(width, height int64, mobile bool) Option {
	return func(b *Tab) {
		b.t.Helper()
		call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: width, Height: height, DeviceScaleFactor: 1, Mobile: mobile,
		})
	}
}

// Dark asks pages for their dark colours.
func Dark(on bool) Option {
	return func(b *Tab) {
		b.t.Helper()
		scheme := "light"
		if on {
			scheme = "dark"
		}
		call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	}
}

// Set applies options to an open tab.
func (b *Tab) Set(opts ...Option) {
	b.t.Helper()
	for _, o := range opts {
		o(b)
	}
}

// Cookies returns those the browser would send to url.
func (b *Tab) Cookies(url string) []*http.Cookie {
	b.t.Helper()
	res := call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{url}})
	var out []*http.Cookie
	for _, c := range res.Cookies {
		out = append(out, &http.Cookie{Name: c.Name, Value: c.Value, Path: c.Path, Secure: c.Secure, HttpOnly: c.HTTPOnly})
	}
	return out
}

// fileName turns a test's name into a file's.
func fileName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, s)
}

// shots is where screenshots go; git ignores it.
func shots() (string, error) {
	e2e, err := home()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(e2e, "shots")
	return dir, os.MkdirAll(dir, 0o755)
}
