# Everything a person or a machine does with the sources. `make help` lists it.

GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 30s
SOAKTIME    ?= 10m

.PHONY: help run build setup test check unit race wasm interop lint vuln bench bench-peers fuzz soak generate

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: build ## build, start a server for this machine on ./data, and talk; AS=NAME is somebody else, in another terminal
	@./scripts/run $(if $(filter default,$(origin AS)),,$(AS))

build: ## build the programs into ./bin
	$(GO) build -o bin/ ./cmd/...

setup: ## install what the tests need and the machine lacks
	./scripts/setup

test: setup check unit race wasm interop lint vuln ## all tests

check: ## formatting, vet, modules
	@files=$$(git ls-files '*.go' | grep -v '\.capnp\.go$$' | xargs gofmt -l); test -z "$$files" || { echo "not formatted: $$files"; exit 1; }
	$(GO) vet ./...
	cd interop && $(GO) vet ./...
	cd bench/peers && $(GO) vet ./...
	$(GO) mod verify

unit:
	$(GO) test -count=1 -timeout 10m ./...
	cd bench/peers && $(GO) test -count=1 -skip '^TestSmoke$$' ./...

race: ## the race detector, on what runs concurrently
	$(GO) test -count=1 -short -race -timeout 20m ./transport/... ./store/... ./node/... ./client/... ./command/... ./wire/... ./mls ./internal/world

wasm: setup ## the client and all below it, built for browsers and run in Node
	GOOS=js GOARCH=wasm $(GO) build ./mls/... ./opaque/... ./identity/... ./wire/... ./transport ./transport/mem ./client/...
	GOOS=js GOARCH=wasm $(GO) vet ./transport/websocket ./transport/internal/mux ./client/profile ./integration/browser
	GOOS=js GOARCH=wasm $(GO) test -count=1 -exec $(CURDIR)/scripts/browser ./client/profile ./transport/internal/mux
	$(GO) test -count=1 ./integration -run 'TestStories/browser'

interop: setup ## against other implementations
	cd interop && $(GO) test -count=1 -timeout 10m ./...

lint: ## staticcheck
	$(GO) run $(STATICCHECK) ./...
	cd interop && $(GO) run $(STATICCHECK) ./...
	cd bench/peers && $(GO) run $(STATICCHECK) ./...

vuln: ## known vulnerabilities, where the database can be had
	./scripts/vulncheck "$(GO)" $(GOVULNCHECK)

bench: ## benchmarks; bench/REPORT.md tells how to read them
	./bench/run

bench-peers: ## the same work on other servers, into bench/peers/REPORT.md; PEERS='-smoke', or other flags that PEERS=-help lists
	./scripts/setup ejabberd erlang-p1-pgsql erlang-p1-sqlite3 prosody mosquitto nats-server postgresql strace
	cd bench/peers && $(GO) run . $(PEERS)

fuzz: ## every fuzz target for FUZZTIME
	./scripts/fuzz $(FUZZTIME)

soak: ## the long versions of the random tests, for SOAKTIME each
	QPQ_SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 24h -run 'Soak|Model|Idle|Power|Story' ./...
	QPQ_SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 24h -v -run '^Test(Sim|SimQUIC|Live)$$' ./internal/world

generate: ## write the generated code anew
	$(GO) generate ./...
