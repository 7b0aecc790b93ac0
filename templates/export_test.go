package templates

// Every is for tests outside the package.
func Every() []Page { return every() }
