#!/bin/bash
# What CI runs: unit and end-to-end tests, byte parsers under ASan+UBSan, a short fuzz of each parser, the include check.
# OCTAVO_FUZZ_SECONDS (default 20) is the time of each fuzz target.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '\n== %s (%s s so far)\n' "$1" "$SECONDS"; }

step "includes point down"
python3 tools/check_includes.py

step "build"
cmake --preset release >/dev/null
cmake --build build

step "unit tests"
ctest --test-dir build --output-on-failure -j2

step "end to end"
python3 -m unittest discover -s tests/e2e -p '*_test.py' -v

step "parsers under ASan and UBSan"
cmake --preset asan >/dev/null
cmake --build build-asan --target base_test scheme_test formats_test tokenizer_test
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1
build-asan/tokenizer_test --gtest_brief=1 & slow=$!
for test in base scheme formats; do
  "build-asan/${test}_test" --gtest_brief=1
done
wait "$slow"

step "fuzz"
cmake --preset fuzz >/dev/null
cmake --build build-fuzz --target fuzzers
for target in build-fuzz/*_fuzz; do
  name=$(basename "$target" _fuzz)
  mkdir -p "build-fuzz/corpus/$name"
  seeds="tests/fuzz/seeds/$name"
  echo "-- $name"
  log="build-fuzz/$name.log"
  if ! "$target" -max_total_time="${OCTAVO_FUZZ_SECONDS:-20}" -rss_limit_mb=2048 -timeout=20 -print_final_stats=1 \
      -artifact_prefix="build-fuzz/$name-" "build-fuzz/corpus/$name" $([ -d "$seeds" ] && echo "$seeds") >"$log" 2>&1; then
    tail -n 60 "$log"
    echo "fuzz target $name failed"
    exit 1
  fi
  grep -E 'number_of_executed_units|peak_rss_mb' "$log"
done
step "all passed"
