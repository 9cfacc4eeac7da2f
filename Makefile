# make          the binary, static, without cgo
# make test     every check that needs Go, git and Debian packages only
# make interop  the same product against real peers, built into $(PEERS)
# make crd      the CustomResourceDefinition of EvidencePolicy, from its Go types
# make bench    side by side with the peers, printed as ratios
SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO          ?= go
CACHE       := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/assay
PEERS       := $(CACHE)/peers
TOOLS       := $(CACHE)/tools
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
export CGO_ENABLED ?= 0

.PHONY: assay test lint vulnerabilities unit pkcs11 fuzz interop peers crd bench clean gcc softhsm

assay:
	$(GO) build -trimpath -ldflags "-s -w -X github.com/seed-161fc314/assay/internal/cli.version=$(VERSION)" -o assay ./cmd/assay

test: gcc lint vulnerabilities unit pkcs11 fuzz
	@echo "make test: all passed"

# The race detector needs a C compiler.
gcc:
	@command -v gcc >/dev/null || ./.ci/install gcc libc6-dev

# Keys in PKCS#11 tokens are tested with SoftHSM.
softhsm:
	@command -v softhsm2-util >/dev/null && command -v pkcs11-tool >/dev/null || ./.ci/install softhsm2 opensc

lint: gcc $(TOOLS)/staticcheck
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop ./internal/interop/... ./internal/engine/policy/kyverno
	CGO_ENABLED=1 $(GO) vet -tags pkcs11 ./internal/port/signing/pkcs11 ./internal/cli ./cmd/assay
	$(TOOLS)/staticcheck ./...
	$(TOOLS)/staticcheck -tags interop ./internal/interop/... ./internal/engine/policy/kyverno
	CGO_ENABLED=1 $(TOOLS)/staticcheck -tags pkcs11 ./internal/port/signing/pkcs11

$(TOOLS)/staticcheck:
	GOBIN=$(TOOLS) $(GO) install $(STATICCHECK)

# Its data is at vuln.go.dev. Where that cannot be reached this says so, and
# says that nothing was checked; what it finds fails the run.
vulnerabilities:
	@GOBIN=$(TOOLS) $(GO) install $(GOVULNCHECK)
	@if (exec 3<>/dev/tcp/vuln.go.dev/443) 2>/dev/null; then echo $(TOOLS)/govulncheck ./...; $(TOOLS)/govulncheck ./...; \
	else echo "govulncheck: NOT CHECKED: vuln.go.dev cannot be reached from here"; fi

# The race detector watches everything but the ciphers of x/crypto: scrypt, which
# unlocks each key file in one goroutine, would take most of the time.
# (GORACE: else each process waits a second before it ends.)
export GORACE := atexit_sleep_ms=10
RACE        := -race '-gcflags=golang.org/x/crypto/...=-race=false'

unit:
	CGO_ENABLED=1 $(GO) test $(RACE) ./...

pkcs11: gcc softhsm
	CGO_ENABLED=1 $(GO) test $(RACE) -tags pkcs11 ./internal/port/signing/pkcs11
	CGO_ENABLED=1 $(GO) test $(RACE) -tags pkcs11 -run TestTokens ./internal/cli

# Every fuzz target for some thousand executions beyond its seeds.
fuzz:
	@./.ci/fuzz 10000

interop: gcc peers
	CGO_ENABLED=1 ASSAY_PEERS=$(PEERS) $(GO) test $(RACE) -tags interop -count=1 -timeout 20m ./internal/interop
	ASSAY_PEERS=$(PEERS) $(GO) test -tags interop -count=1 -timeout 20m -run TestOracle ./internal/engine/policy/kyverno
	@echo "make interop: all passed"

peers:
	./.ci/peers $(PEERS)

crd:
	$(GO) test ./api/v1alpha1/crd -count=1 -run TestCommitted -update

# BENCH_FLAGS: -suite scan, -runs 5, -osv all.zip
bench: assay
	./.ci/peers $(PEERS) bench
	ASSAY_PEERS=$(PEERS) $(GO) run ./bench $(BENCH_FLAGS)

clean:
	rm -f assay
