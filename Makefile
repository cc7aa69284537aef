# SPDX-License-Identifier: GPL-3.0-or-later
.DEFAULT_GOAL := help
GOOS   := linux
GOARCH ?= $(shell PATH="$(CURDIR)/.venv/bin:$$PATH" go env GOARCH)
GO     := PATH="$(CURDIR)/.venv/bin:$$PATH" go
ARCHS  := amd64 arm64 ppc64le s390x riscv64
# Without inlining the program is 4 % smaller, and starts half a millisecond later (docs/adr/0002-no-inlining.md).
SMALL  := -trimpath -buildvcs=false -ldflags '-s -w$(if $(filter amd64,$(GOARCH)), -funcalign=1)' -gcflags=all=-l
# These settings make the same bytes for every user of the same Go, for the oldest processor of each architecture.
# The program ends before much garbage is collected. So it has the collector that makes it 1 % smaller.
SAME   := GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS=-mod=readonly GOEXPERIMENT=nogreenteagc GOENV=off GOWORK=off GOAMD64=v1 GOARM64=v8.0 GOPPC64=power8 GORISCV64=rva20u64
BIN    := plugins/modules/__bin__/ptrace_scope_$(GOOS)_$(GOARCH)
# The build that runs plugins is more than three times as large. The artifact has room for these architectures.
PLUGINS_ARCHS := amd64 arm64 ppc64le
PLUGINS_BIN   := plugins/modules/__bin__/ptrace_scope_plugins_$(GOOS)_$(GOARCH)

.PHONY: help
help: ## show this menu
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: run
run: ## set STATE=restricted|permissive|auto on a virtual machine and test it (INVENTORY=… for your own hosts)
	@scripts/setup run
	@$(MAKE) --no-print-directory build
	@STATE="$(STATE)" INVENTORY="$(INVENTORY)" scripts/run

.PHONY: test
test: ## install the tools and run the whole test suite
	@scripts/setup test
	@scripts/test

.PHONY: check
check: ## install the tools, and run the linters and the fast tests (three minutes)
	@scripts/setup test
	@scripts/test check

.PHONY: build
build: ## build the program into bin/ and, for the collection, plugins/modules/__bin__/ (GOARCH=…)
	@scripts/setup build
	@$(SAME) GOOS=$(GOOS) GOARCH=$(GOARCH) $(GO) build $(SMALL) -o $(BIN) ./module
	@mkdir -p bin && if [ "$(GOARCH)" = "$$($(GO) env GOHOSTARCH)" ]; then cp $(BIN) bin/ptrace_scope; fi

.PHONY: build-plugins
build-plugins: ## build the program that runs plugins (docs/plugins.md), for tasks with backend_plugin (GOARCH=…)
	@scripts/setup build
	@$(SAME) GOOS=$(GOOS) GOARCH=$(GOARCH) $(GO) build $(SMALL) -tags plugins -o $(PLUGINS_BIN) ./module
	@mkdir -p bin && if [ "$(GOARCH)" = "$$($(GO) env GOHOSTARCH)" ]; then cp $(PLUGINS_BIN) bin/ptrace_scope_plugins; fi

.PHONY: builds
builds: ## build all programs for all architectures, with checksums in bin/SHA256SUMS
	@for arch in $(ARCHS); do $(MAKE) --no-print-directory build GOARCH=$$arch || exit 1; done
	@for arch in $(PLUGINS_ARCHS); do $(MAKE) --no-print-directory build-plugins GOARCH=$$arch || exit 1; done
	@cd $(dir $(BIN)) && sha256sum $(ARCHS:%=ptrace_scope_$(GOOS)_%) $(PLUGINS_ARCHS:%=ptrace_scope_plugins_$(GOOS)_%) >$(CURDIR)/bin/SHA256SUMS

.PHONY: dist
dist: ## make the artifact for Galaxy in dist/
	@scripts/setup run
	@scripts/dist

.PHONY: release
release: ## make a release in dist/ from a tag, signed with the SSH key KEY=… (docs/releasing.md)
	@scripts/setup run
	@scripts/release $(KEY)

.PHONY: generate
generate: ## make the files that derive from schema/ and from the decision table
	$(GO) run ./schema/generate
	$(GO) test ./module/internal/ptrace -run TestDecisionsDocument -update

.PHONY: fuzz
fuzz: ## fuzz for long: TREES=20000 random trees with the real loaders, each parser for FUZZ_SECONDS=60
	@scripts/setup test
	@scripts/loaders "$(or $(TREES),20000)" "$(or $(SEED),$(shell date +%s))"
	@FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) scripts/test fuzz

.PHONY: attack
attack: ## attack the program with every hostile tree and long races (minutes; make test takes a fixed part)
	@scripts/setup test
	@$(MAKE) --no-print-directory build
	@ATTACK=all $(GO) test -count=1 -timeout 30m -v ./tests/sandbox ./tests/attack ./tests/databases

.PHONY: faults
faults: ## let every system call of the program fail, and kill it there (ten minutes; make test takes a fixed part)
	@scripts/setup build
	@cd module && FAULTS=all $(GO) test -count=1 -timeout 2h -run '^TestFaults$$' .

.PHONY: lint
lint: ## run only the linters
	@scripts/setup test
	@scripts/test lint

.PHONY: scenarios
scenarios: ## run only the scenarios on machines with a real kernel
	@scripts/setup test
	@scripts/test scenarios

.PHONY: bench
bench: ## compare tasks with the alternatives (docs/speed.md), and the program with rpm -q and dpkg-query
	@scripts/setup test
	@$(MAKE) --no-print-directory build
	@scripts/bench-tasks
	@scripts/bench-steady
	@scripts/bench-info
	@scripts/debian bench
	@scripts/managers bench

.PHONY: matrix
matrix: dist ## test every way to call the modules with every ansible-core of tests/matrix/versions
	@scripts/setup test
	@$(MAKE) --no-print-directory build
	@scripts/matrix all dist/hardening-yama-*.tar.gz

.PHONY: pin
pin: ## pin versions and checksums of Python packages, from requirements.in, go.mod and tests/matrix (UPGRADE=1 for the newest)
	@scripts/pin $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## end the lab's machines, and remove builds and environments
	@for name in $$(molecule/lab/lab list 2>/dev/null); do molecule/lab/lab down "$$name"; done
	rm -rf bin dist .venv .tools .lab .collections .ansible plugins/modules/__bin__
