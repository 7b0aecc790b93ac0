package templates

// Every is for tests outside the package.
func Every() []Page { return every() }

// EveryDesk is every page of the console.
func EveryDesk() []ConsolePage { return everyDeskPage() }
