# A thin entry over the CMake presets; nothing here that they do not do.
# `scripts/deps` installs what they need.
.PHONY: all check asan tsan valgrind release lint fmt fuzz crash sim bench idle run coverage docs demo test clean

JOBS := $(shell nproc 2>/dev/null || echo 2)
CTEST := ctest -j $(JOBS) --preset

all:                    ## build everything, warnings as errors
	@cmake --preset dev >/dev/null
	cmake --build --preset dev

check: all              ## every fast test
	$(CTEST) dev

asan tsan:              ## every fast test under sanitizers
	@cmake --preset $@ >/dev/null
	cmake --build --preset $@
	$(CTEST) $@

valgrind:               ## the client library's tests under memcheck
	scripts/valgrind

release:                ## what one would install, in build/release
	@cmake --preset release >/dev/null
	cmake --build --preset release

lint: all               ## formatting, clang-tidy, who includes whom, symbols, sizes, words
	scripts/lint

fmt:                    ## format all C sources in place
	git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

fuzz:                   ## each fuzzer for SECONDS (60)
	scripts/fuzz $(or $(SECONDS),60)

crash: all              ## kill -9 and damaged files
	$(CTEST) dev -L crash

sim:                    ## the long simulation, of each play: HISTORIES=5000 SEED=1 STEPS=10000 ASAN=1
	scripts/sim $(if $(ASAN),--asan) --steps $(or $(STEPS),10000) $(or $(HISTORIES),5000) $(SEED)

bench: release          ## throughput and latency of this machine
	scripts/bench

idle: release           ## what parked pulls cost, how fast they wake up
	scripts/idle

run: all                ## a broker on the default port, data in build/run
	@mkdir -p build/run
	build/dev/broker/zspoold --data build/run --listen tcp://127.0.0.1:7227

coverage:               ## line coverage in build/coverage/report
	@cmake --preset coverage >/dev/null
	cmake --build --preset coverage
	$(CTEST) coverage
	@mkdir -p build/coverage/report
	gcovr --root . --exclude tests --exclude build --print-summary \
	    --html-details build/coverage/report/index.html build/coverage

docs:                   ## man pages and the API reference, in build/dev/docs
	@cmake --preset dev >/dev/null
	cmake --build --preset dev --target docs

demo:                   ## the main job on real input, shown and verified
	scripts/demo.sh

test:                   ## what CI runs
	scripts/test.sh

clean:
	rm -rf build
