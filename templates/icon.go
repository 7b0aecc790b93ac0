package templates

import (
	"fmt"
	"html/template"
)

// icon returns a small line drawing. It says nothing that the words beside it do
// not say, so it is hidden from readers.
func icon(name string) (template.HTML, error) {
	d, ok := drawings()[name]
	if !ok {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false" fill="none" ` +
		`stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round">` + d + `</svg>`), nil
}

func drawings() map[string]string {
	return map[string]string{
		"arrow":    `<path d="M9 5l7 7-7 7"/>`,
		"building": `<path d="M4 20h16M6 20V9l6-4 6 4v11M10 20v-5h4v5M9.5 11h.01M14.5 11h.01"/>`,
		"check":    `<circle cx="12" cy="12" r="9"/><path d="M8 12.4l2.8 2.8L16.2 9.6"/>`,
		"clock":    `<circle cx="12" cy="12" r="9"/><path d="M12 7v5.2l3.4 2"/>`,
		"face":     `<path d="M4 8V5.5A1.5 1.5 0 0 1 5.5 4H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5V8M20 16v2.5a1.5 1.5 0 0 1-1.5 1.5H16M8 20H5.5A1.5 1.5 0 0 1 4 18.5V16M9 9.5v.8M15 9.5v.8M8.8 14.2c1.8 1.9 4.6 1.9 6.4 0"/>`,
		"globe":    `<circle cx="12" cy="12" r="9"/><path d="M3.2 12h17.6M12 3c5 5.4 5 12.6 0 18M12 3c-5 5.4-5 12.6 0 18"/>`,
		"info":     `<circle cx="12" cy="12" r="9"/><path d="M12 11v5.5M12 7.6v.01"/>`,
		"key":      `<circle cx="8" cy="15.5" r="4.2"/><path d="M11 12.5L20 4M16.4 7.4l2.8 2.6"/>`,
		"lock":     `<path d="M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3M12 14.6v2"/>`,
		"monitor":  `<path d="M3.5 5h17v11h-17zM8.5 20h7M12 16v4"/>`,
		"paper":    `<path d="M6 3.5h8.5L18 7v13.5H6zM9 10h6M9 13.5h6M9 17h3.5"/>`,
		"person":   `<circle cx="12" cy="8" r="4"/><path d="M4.5 20.5c1-4.2 4-6 7.500-6s6.500 1.800 7.500 6"/>`,
		"phone":    `<path d="M7.500 2.800h9v18.400h-9zM11 18.200h2"/>`,
		"print":    `<path d="M7 8.500V3.500h10v5M7 17H4V8.500h16V17h-3M7 14h10v6.500H7z"/>`,
		"shield":   `<path d="M12 3l7.500 2.700v5.600c0 4.700-3 7.900-7.500 9.700-4.500-1.800-7.500-5-7.500-9.700V5.700zM8.800 12l2.300 2.300 4.200-4.400"/>`,
		"warn":     `<path d="M12 3.800L21.500 20h-19zM12 10v4.600M12 17.200v.01"/>`,
	}
}
