# make            build/octavo
# make deps       install what building and testing needs (Debian packages; uses sudo when not root)
# make demo       a real model read, quantized, judged and talking, from a fresh machine
# make test       everything CI runs
# make quick      unit tests only, for while you work
# make bench-cpu  products and models on this CPU beside its ceilings, oneDNN and llama.cpp (installs and builds the rivals)
.PHONY: all deps demo test quick bench bench-cpu format lint clean
all: build/build.ninja
	cmake --build build

build/build.ninja: CMakeLists.txt tests/CMakeLists.txt
	cmake --preset release

deps:
	tools/deps.sh

demo:
	tools/deps.sh demo
	$(MAKE) build/build.ninja
	cmake --build build --target octavo
	python3 tools/demo.py

test:
	tools/deps.sh
	tools/test.sh

quick: all
	ctest --test-dir build --output-on-failure -j2

bench: all
	build/octavo_kernel_bench

bench-cpu: all
	tools/bench_cpu.sh

format:
	clang-format -i $$(git ls-files '*.cc' '*.h' '*.inc')

lint: build/build.ninja
	python3 tools/check_includes.py --headers
	git ls-files 'src/*.cc' 'apps/*.cc' | xargs -P $$(nproc) -n 4 clang-tidy --quiet -p build

clean:
	rm -rf build build-debug build-asan build-tsan build-fuzz
