package browser

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// do runs one step within the limit; what does not succeed ends the test.
func do[T any](b *Tab, doing string, a chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		b.t.Fatalf("%s: %v", doing, err)
	}
	return v
}

func call[P, R any](b *Tab, cmd cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	r, err := chromedp.Call(ctx, cmd, params)
	if err != nil {
		b.t.Fatalf("%s: %v", cmd.Method, err)
	}
	return r
}

func evaluate[T any](b *Tab, js string, opts ...chromedp.EvaluateOption) T {
	b.t.Helper()
	return do(b, "evaluating", chromedp.Evaluate[T](js, opts...))
}

// Go opens an address and waits for the page, whatever its status.
func (b *Tab) Go(url string) {
	b.t.Helper()
	b.load("opening "+url, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := chromedp.Navigate(url)(ctx, t)
		return err
	}))
}

// Reload asks for the page again.
func (b *Tab) Reload() {
	b.t.Helper()
	do(b, "reloading", chromedp.Reload())
}

// Back is the browser's back button. A page that comes back from the browser's
// memory does not load again, so what is waited for is the place in the history.
func (b *Tab) Back() {
	b.t.Helper()
	h := call(b, page.GetNavigationHistory, cdp.Empty{})
	if h.CurrentIndex < 1 {
		b.t.Fatal("there is nothing to go back to")
	}
	call(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: h.Entries[h.CurrentIndex-1].ID})
	b.until("going back", func(ctx context.Context) (bool, error) {
		now, err := chromedp.Call(ctx, page.GetNavigationHistory, cdp.Empty{})
		if err != nil || now.CurrentIndex >= h.CurrentIndex {
			return false, err
		}
		return chromedp.Run(ctx, chromedp.Evaluate[bool]("document.readyState==='complete'"))
	})
}

// load runs a step that leads to another page and waits for that.
func (b *Tab) load(doing string, step chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	resp, err := chromedp.RunResponse(ctx, step)
	if err != nil {
		b.t.Fatalf("%s: %v", doing, err)
	}
	b.Status = 0
	if resp != nil {
		b.Status = int(resp.Status)
	}
}

// Fill types into an empty field.
func (b *Tab) Fill(css, text string) {
	b.t.Helper()
	b.unfold(css)
	evaluate[string](b, "document.querySelector("+quote(css)+").value=''")
	if text != "" {
		do(b, "filling "+css, chromedp.SendKeys(chromedp.CSS(css), text))
	}
}

// Press clicks a button or link that leads to another page and waits for it. What
// is folded away is unfolded first.
func (b *Tab) Press(css string) {
	b.t.Helper()
	b.unfold(css)
	b.load("pressing "+css, chromedp.Click(chromedp.CSS(css)))
}

// Click clicks and waits for nothing.
func (b *Tab) Click(css string) {
	b.t.Helper()
	b.unfold(css)
	do(b, "clicking "+css, chromedp.Click(chromedp.CSS(css)))
}

func (b *Tab) unfold(css string) {
	b.t.Helper()
	b.See(css)
	evaluate[bool](b, "(function(d){if(d)d.open=true;return true})(document.querySelector("+quote(css)+").closest('details'))")
}

// See waits until the page has such an element.
func (b *Tab) See(css string) {
	b.t.Helper()
	do(b, "looking for "+css, chromedp.WaitReady(chromedp.CSS(css)))
}

// Has reports whether the page has such an element now.
func (b *Tab) Has(css string) bool {
	b.t.Helper()
	return evaluate[bool](b, "document.querySelector("+quote(css)+")!==null")
}

// Count says how many such elements there are.
func (b *Tab) Count(css string) int {
	b.t.Helper()
	return evaluate[int](b, "document.querySelectorAll("+quote(css)+").length")
}

// Text returns the visible text of the first such element, once there is one.
func (b *Tab) Text(css string) string {
	b.t.Helper()
	b.See(css)
	return strings.TrimSpace(evaluate[string](b, "document.querySelector("+quote(css)+").innerText"))
}

// Attr returns an attribute of the first such element; "" when it has none.
func (b *Tab) Attr(css, name string) string {
	b.t.Helper()
	b.See(css)
	return evaluate[string](b, "document.querySelector("+quote(css)+").getAttribute("+quote(name)+")||''")
}

// WaitText waits until the element's text contains what is given.
func (b *Tab) WaitText(css, want string) {
	b.t.Helper()
	b.until("waiting for "+want+" in "+css, func(ctx context.Context) (bool, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[bool](
			"(function(e){return e!==null&&e.innerText.includes("+quote(want)+")})(document.querySelector("+quote(css)+"))"))
	})
}

// Wait waits until an expression is true in the page.
func (b *Tab) Wait(expression string) {
	b.t.Helper()
	b.until("waiting for "+expression, func(ctx context.Context) (bool, error) {
		return chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
	})
}

// URL is the address bar.
func (b *Tab) URL() string {
	b.t.Helper()
	return do(b, "reading the address", chromedp.Location())
}

// WaitURL waits until the address contains what is given and the page is there.
func (b *Tab) WaitURL(part string) {
	b.t.Helper()
	at := ""
	b.until("waiting for an address with "+part, func(ctx context.Context) (bool, error) {
		var err error
		if at, err = chromedp.Run(ctx, chromedp.Location()); err != nil || !strings.Contains(at, part) {
			return false, err
		}
		return chromedp.Run(ctx, chromedp.Evaluate[bool]("document.readyState==='complete'"))
	})
}

// until asks again and again. A page that is just being replaced answers with an
// error, which is no answer.
func (b *Tab) until(doing string, ok func(context.Context) (bool, error)) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	var last error
	for {
		done, err := ok(ctx)
		if done && err == nil {
			return
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("%s: %v (last: %v)", doing, ctx.Err(), last)
		case <-time.After(40 * time.Millisecond):
		}
	}
}

// JS runs an expression in the page and returns its JSON. A promise is awaited.
func (b *Tab) JS(expression string) string {
	b.t.Helper()
	return string(evaluate[[]byte](b, expression, chromedp.EvalAwaitPromise))
}

// Shot keeps a screenshot of the whole page in e2e/shots.
func (b *Tab) Shot(name string) {
	b.t.Helper()
	dir, err := shots()
	if err != nil {
		b.t.Fatal(err)
	}
	png := do(b, "taking a screenshot", chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(dir, fileName(name)+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Overflow says by how many pixels the page is wider than its window.
func (b *Tab) Overflow() int {
	b.t.Helper()
	return evaluate[int](b, "document.documentElement.scrollWidth-document.documentElement.clientWidth")
}

// quote makes a JavaScript string literal.
func quote(s string) string {
	r := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "<", `\x3c`, "\u2028", `\u2028`, "\u2029", `\u2029`)
	return `"` + r.Replace(s) + `"`
}
