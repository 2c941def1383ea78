# callgate: `make help` lists what there is. Every target sets up what it needs.

PREFIX  ?= /usr/local
DESTDIR ?=
GO      ?= go
FUZZTIME ?= 2
TRIES ?= 20000
races := ^Test(Names|Race)

export CGO_ENABLED = 1

# All that is compiled is for the same programs: with other tags most of it would be
# compiled twice.
tags := netgo,osusergo
export GOFLAGS := $(strip $(shell $(GO) env GOFLAGS 2>/dev/null) -tags=$(tags))

commit  := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
ldflags := -s -w -linkmode external -extldflags "-static" -X main.commit=$(commit)
staticcheck := honnef.co/go/tools/cmd/staticcheck@v0.8.2

setups := setup-build setup-test setup-lint setup-bench

.NOTPARALLEL:
.PHONY: help build demo test test-user fuzz attacks race lint bench install clean $(setups)

help: ## say what the targets do
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

build: setup-build ## static bin/callgate and bin/callgated
	$(GO) build -buildvcs=false -trimpath -ldflags '$(ldflags)' -o bin/callgate ./cmd/callgate
	$(GO) build -buildvcs=false -trimpath -ldflags '$(ldflags)' -o bin/callgated ./cmd/callgated

demo: build ## build, then show the main job on real programs
	@cmd/callgate/testdata/demo/demo.sh bin/callgate

# The last lines of test are go test's own. To have results cached, go test looks at every
# file that the tests have looked at, which takes a minute: in vain where all is new. On CI
# lint has vetted it all by then.
test: setup-build setup-test fuzz test-user ## every test, as this user and, for root, as an ordinary one too
	$(GO) test -parallel 8 -timeout 20m $(if $(CI),-count=1 -vet=off) ./...

test-user: setup-build setup-test ## for root: the tests that start sandboxes, as an ordinary user
	.ci/test-user

fuzz: setup-build ## every fuzz target for FUZZTIME seconds (2)
	.ci/fuzz $(FUZZTIME)

# Each is also part of test, with fewer tries where it has many forms.
attacks: setup-build setup-test ## the racing attacks in full (an hour): TRIES (20000) of each, as both users
	CALLGATE_TRIES=$(TRIES) .ci/test-user -test.timeout=10h -test.run '$(races)'
	CALLGATE_TRIES=$(TRIES) $(GO) test -timeout 10h -run '$(races)' ./cmd/callgate

race: setup-build ## the packages that start no process, under the race detector
	$(GO) test -race ./policy ./policy/abi ./supervisor/audit ./supervisor/decode

lint: setup-build setup-lint ## gofmt, go vet (arm64 too), staticcheck, shellcheck, layout
	.ci/layout
	shellcheck .ci/* cmd/callgate/testdata/demo/*.sh
	@unformatted=$$(gofmt -l cmd configs policy supervisor); \
	test -z "$$unformatted" || { echo "gofmt these:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	.ci/vet-arm64
	$(GO) run $(staticcheck) ./...

bench: setup-build setup-bench build ## the benchmark of docs/bench.md; for its jobs, go-judge is built or taken from PATH
	@.ci/go-judge bin/go-judge
	$(GO) run ./cmd/callbench

install: build ## install the programs, their units, man pages and completions under PREFIX
	install -D -m 755 bin/callgate $(DESTDIR)$(PREFIX)/bin/callgate
	install -D -m 755 bin/callgated $(DESTDIR)$(PREFIX)/bin/callgated
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' configs/callgated.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/callgated.service
	install -m 644 configs/callgated.socket $(DESTDIR)$(PREFIX)/lib/systemd/system/
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -D -m 644 docs/man/callgate-policy.5 $(DESTDIR)$(PREFIX)/share/man/man5/callgate-policy.5
	install -D -m 644 docs/man/callgated.8 $(DESTDIR)$(PREFIX)/share/man/man8/callgated.8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	bin/callgate completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/callgate
	bin/callgate completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_callgate
	bin/callgate completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/callgate.fish

clean: ## remove what was built
	rm -rf bin

# A static pattern: make looks for no implicit rule of a phony target.
$(setups): setup-%:
	@.ci/setup $*
