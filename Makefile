# One command each for whoever is new here; each does its own set-up.
GO      ?= go
BIN     := bin/ecardid
SETUP   := ./scripts/setup

.PHONY: demo test check build bench fuzz soak conformance interop clean

demo: build             ## everything on this machine at http://localhost:8080
	$(BIN) demo --dir demo

test:                   ## all tests, as CI runs them
	$(SETUP) test
	$(MAKE) check
	$(GO) test -race -timeout 20m ./...
	$(GO) test -run TestAllocations ./e2e/bench # which the race detector would spoil

check:                  ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not formatted:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop,soak ./e2e/interop ./e2e/bench
	$(GO) tool staticcheck ./...

build:
	$(SETUP) build
	$(GO) build -trimpath -o $(BIN) ./cmd/ecardid

bench:                  ## ns/op, allocs/op, flows/s and the ratios of docs/operating.md; and how soon a revocation shuts each door
	$(SETUP) test
	$(GO) test -run '^$$' -bench . -benchmem -timeout 20m ./internal/jose ./e2e/bench
	ECARDID_E2E_ROUNDS=9 $(GO) test -count=1 -timeout 5m -run TestRevocationLag -v ./e2e

fuzz:                   ## every fuzz target for a minute (FUZZTIME=10m at night)
	./scripts/fuzz

soak:                   ## what is too long for every change: fifty rounds of each race, answer times of 500 samples a class, a million grants
	$(SETUP) test
	ECARDID_E2E_ROUNDS=50 ECARDID_E2E_TIMING=500 $(GO) test -count=1 -timeout 2h -run 'TestOnce|TestSame' ./e2e
	ECARDID_BENCH_GRANTS=1000000 $(GO) test -tags soak -count=1 -timeout 30m -run 'TestMillion|TestStoredPerSignIn' -v ./e2e/bench

SUITE   ?= https://localhost:8443
conformance:            ## point a running OpenID conformance suite at this tree: make conformance SUITE=https://localhost:8443 [PLAN=config,basic-static]
	$(GO) run ./e2e/conformance -suite $(SUITE) $(if $(PLAN),-plan $(PLAN)) -report docs/conformance.md

interop:                ## other people's libraries in Go, Node, Python and Java sign in and call APIs; needs npm, PyPI and Maven Central
	$(SETUP) interop
	$(GO) test -tags interop -count=1 -timeout 20m -v ./e2e/interop

clean:
	rm -rf bin demo e2e/shots
