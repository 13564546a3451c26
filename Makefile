# SPDX-License-Identifier: Apache-2.0
# A thin front for meson and the scripts in scripts/; `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help deps build run test bench bandwidth instructions fuzz corpus simulate soak crowd overload killed chaos easylist coverage tsan cross format lint reference install deb dist testssl walk

# A build folder: $(call configure,FOLDER,COMPILER,OPTIONS)
configure = @test -f $(1)/build.ninja || CC=$(2) meson setup $(1) $(3)

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps: ## install the packages that are missing (Debian 12; as root or by sudo)
	@scripts/deps build

build: deps ## a release binary: build/release/weir
	$(call configure,build/release,gcc,-Db_lto=true -Dtests=false)
	@ninja -C build/release --quiet

run: build ## build, then start the demo of examples/start in the foreground (Ctrl-C ends it)
	@exec scripts/run build/release/weir

test: ## all unit and integration tests, built by gcc with AddressSanitizer and UBSan
	@scripts/deps build test
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet
	@scripts/test build/test

bench: build ## measure weir beside the other proxies that are installed; writes docs/performance.md
	@scripts/deps bench
	@scripts/bench build/release/weir

bandwidth: build ## how exactly `bandwidth` holds (within 3 %), and how evenly connections share it; SECONDS_EACH (10)
	@bench/bandwidth build/release/weir $${SECONDS_EACH:-10}

instructions: ## instructions of one exchange by callgrind (SCENARIOS names some; see scripts/instructions)
	@scripts/deps build bench
	$(call configure,build/valgrind,gcc,-Db_lto=true -Dtests=false -Dvalgrind=true)
	@ninja -C build/valgrind --quiet
	@scripts/instructions build/valgrind/weir $(SCENARIOS)

fuzz: ## every libFuzzer target for MINUTES (1) each, with clang; FUZZ says which ones
	@scripts/deps build test lint
	$(call configure,build/fuzz,clang-14,-Dbuildtype=debug -Doptimization=1 -Dfuzz=true -Db_sanitize=address$(,)undefined)
	@ninja -C build/fuzz --quiet fuzzers
	@MINUTES="$(MINUTES)" scripts/fuzz build/fuzz $(FUZZ)

corpus: ## take into tests/fuzz/corpus what fuzzing found that reaches something new, as little of it as will do
	@ninja -C build/fuzz --quiet fuzzers
	@scripts/fuzz --keep build/fuzz $(FUZZ)

soak: build ## mixed load, reloads and faults for MINUTES (60); memory and descriptors must stay flat
	@scripts/deps test
	@WEIR_BIN=build/release/weir PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/soak/soak.py $${MINUTES:-60}

crowd: build ## WEIR_CROWD (10000) slow connections beside a good client: no failure, no delay, little memory
	@scripts/deps test
	@WEIR_CROWD=$${WEIR_CROWD:-10000} WEIR_BIN=build/release/weir /usr/bin/python3 -m pytest -q -s -p no:cacheprovider \
		tests/integration/test_slow_crowd.py -k beside

overload: build ## goodput at four times the load that weir can carry, against its peak (OVERLOAD_ARGS: see bench/overload)
	@scripts/deps test
	@WEIR_BIN=build/release/weir PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 bench/overload $(OVERLOAD_ARGS)

killed: build ## how long new connections wait for an answer when the worker is ended by kill -9 under load
	@scripts/deps test
	@WEIR_BIN=build/release/weir PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 bench/killed

testssl: ## what testssl.sh finds in the default configuration: nothing above `info`
	@scripts/deps build test
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet
	@WEIR_BIN=$(CURDIR)/build/test/weir WEIR_TESTSSL=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration/test_tls_attacks.py -k testssl

simulate: ## the simulator's schedules from SIM_SEEDS (10000) seeds, with sanitizers; SIM_FIRST: from which one on
	@scripts/deps build test
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet
	@SIM_SEEDS=$${SIM_SEEDS:-10000} SIM_THOROUGH=$${SIM_THOROUGH:-20} \
		meson test -C build/test --suite simulation --print-errorlogs --timeout-multiplier 0

walk: ## a wiki and gitweb behind weir under another name: Chromium walks 100 pages, logs in, and never sees the server's name
	@scripts/deps build test walk
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet
	@WEIR_WALK=1 WEIR_BIN=$(CURDIR)/build/test/weir /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/browser/test_real_application.py

easylist: ## EasyList matching against a plain reading of the rules and against another engine, over EASYLIST_URLS (100000) URLs
	@scripts/deps build test
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet
	@WEIR_BIN=$(CURDIR)/build/test/weir WEIR_EASYLIST_URLS=$${EASYLIST_URLS:-100000} \
		PYTHONPATH=tests/integration /usr/bin/python3 -m pytest -q -s -p no:cacheprovider tests/integration/test_easylist.py tests/conformance/test_adblock.py

chaos: ## a minute of 500 requests a second while servers are killed, stopped and turned bad
	@scripts/deps build test
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet
	@WEIR_CHAOS_SECONDS=60 WEIR_CHAOS_RATE=500 /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration/test_pool_chaos.py

coverage: ## which lines of the parsers their unit tests execute; 95 % is wanted
	@scripts/deps build test
	$(call configure,build/coverage,gcc,-Dbuildtype=debug -Db_coverage=true)
	@ninja -C build/coverage --quiet
	@scripts/coverage build/coverage http conf

tsan: ## the worker with all its threads under ThreadSanitizer, and the unit tests of what is shared between threads
	@scripts/deps build test
	$(call configure,build/tsan,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=thread)
	@ninja -C build/tsan --quiet
	@scripts/tsan build/tsan

cross: ## what depends on the architecture, built for aarch64 and run under qemu-user
	@scripts/deps build cross
	@scripts/cross

format: ## lay out all C sources by .clang-format
	@scripts/deps lint
	@git ls-files 'src/*.[ch]' 'tests/*.[ch]' | xargs clang-format-14 -i

lint: ## layers, licence lines, banned calls, clang-tidy
	@scripts/deps build test lint
	@scripts/check_tree
	$(call configure,build/lint,clang-14,-Dbuildtype=debug)
	@ninja -C build/lint --quiet
	@git ls-files 'src/*.c' | xargs -P 2 -n 8 clang-tidy-14 -p build/lint --quiet

reference: ## write docs/reference anew from the tables of statements and of the admin API
	@scripts/deps build test
	$(call configure,build/test,gcc,-Dbuildtype=debug -Doptimization=1 -Db_sanitize=address$(,)undefined)
	@ninja -C build/test --quiet tests/layers/print_reference
	@ninja -C build/test --quiet weir
	@scripts/reference build/test/tests/layers/print_reference docs/reference/configuration.md
	@build/test/weir help openapi >docs/reference/openapi.json

install: build ## install the release to DESTDIR and its prefix
	@meson install -C build/release --no-rebuild

deb: ## a Debian package of what is committed, in build/deb; lintian must find nothing
	@scripts/deps build package
	@scripts/deb build/deb

dist: build ## a source archive in build/release/meson-dist
	@meson dist -C build/release --no-tests

, := ,
