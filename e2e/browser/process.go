package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"ecardid/e2e/scratch"
)

// chromium is the one process of this test binary. It is package state because
// tests that do not know each other share it; Close ends it.
var chromium struct {
	mu   sync.Mutex
	ctx  context.Context
	stop func()
	err  error
}

// start returns the running browser's context, starting it the first time. A
// failed start is remembered, so that a hundred tests do not each wait for it.
func start(t testing.TB) context.Context {
	t.Helper()
	chromium.mu.Lock()
	defer chromium.mu.Unlock()
	if chromium.ctx == nil && chromium.err == nil {
		chromium.ctx, chromium.stop, chromium.err = launch()
	}
	if chromium.err != nil {
		t.Fatalf("no browser to test with: %v", chromium.err)
	}
	return chromium.ctx
}

// Close ends the browser, if one was started.
func Close() {
	chromium.mu.Lock()
	defer chromium.mu.Unlock()
	if chromium.stop != nil {
		chromium.stop()
	}
	chromium.ctx, chromium.stop, chromium.err = nil, nil, errors.New("the browser was closed")
}

func launch() (context.Context, func(), error) {
	path, err := executable()
	if err != nil {
		return nil, nil, err
	}
	profile, err := scratch.Dir("chromium")
	if err != nil {
		return nil, nil, err
	}
	own, err := identity()
	if err != nil {
		return nil, nil, err
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		// Everything named .test is this machine; everything else does not exist, so
		// that no page can reach beyond loopback unnoticed.
		chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"),
		chromedp.Flag("ignore-certificate-errors-spki-list", own.spki),
		// Without the back-forward cache, so that the back button asks the server, as it
		// does wherever memory is short.
		chromedp.Flag("disable-features", "Translate,BlinkGenPropertyTrees,BackForwardCache"),
		chromedp.Flag("lang", "zh-CN"),
		chromedp.Flag("accept-lang", "zh-CN,zh"),
	)
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium's sandbox refuses root
	}
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	root, stopRoot := chromedp.NewContext(alloc)
	stop := func() {
		_ = chromedp.Cancel(root) // waits for the process to be gone; it may be already
		stopRoot()
		stopAlloc()
		_ = os.RemoveAll(profile)
	}
	// No deadline here: it would be the browser's own.
	if err := chromedp.Do(root); err != nil {
		stop()
		return nil, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return root, stop, nil
}

// executable looks for Chromium; ECARDID_TEST_CHROMIUM names another.
func executable() (string, error) {
	if path := os.Getenv("ECARDID_TEST_CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium is installed: apt-get install chromium fonts-noto-cjk (make test does it)")
}

// home is the folder e2e, wherever below it the tests run.
func home() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "e2e"), nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("there is no go.mod above the tests")
		}
		dir = up
	}
}
