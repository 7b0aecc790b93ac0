package templates

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// maxQR keeps codes readable by an old phone's camera; an otpauth URI with a
// Chinese issuer is about 300 bytes.
const maxQR = 1024

// QR draws text as a QR code: inline SVG, so that no image source and no style has
// to be allowed for it, with a quiet zone and its own white ground for dark mode.
// The label is read aloud in its place; give the content as text beside it too.
func QR(text, label string) (template.HTML, error) {
	if text == "" || len(text) > maxQR {
		return "", fmt.Errorf("a QR code holds 1 to %d bytes, not %d", maxQR, len(text))
	}
	code, err := qr.Encode(text, qr.M, qr.Unicode)
	if err != nil {
		return "", fmt.Errorf("encoding a QR code: %w", err)
	}
	const quiet = 4 // ISO/IEC 18004 §5.3.8: four modules on each side
	n := code.Bounds().Dx()
	var d strings.Builder
	for y := range n {
		for x := 0; x < n; {
			if !dark(code.At(x, y).RGBA()) {
				x++
				continue
			}
			run := x
			for run < n && dark(code.At(run, y).RGBA()) {
				run++
			}
			fmt.Fprintf(&d, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run-x, run-x)
			x = run
		}
	}
	side := n + 2*quiet
	return template.HTML(fmt.Sprintf(
		`<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="%s" shape-rendering="crispEdges">`+
			`<path fill="#fff" d="M0 0h%dv%dh-%dz"/><path fill="#000" d="%s"/></svg>`,
		side, side, template.HTMLEscapeString(label), side, side, side, d.String())), nil
}

func dark(r, _, _, _ uint32) bool { return r < 0x8000 }
