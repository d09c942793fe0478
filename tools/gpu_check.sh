#!/bin/bash
# Checks and times the Hopper kernels on a machine with an H100:
#   tools/gpu_check.sh [check] [repeats] [huge] [sanitize] [bench] [sweep] [w8a8] [w8a8-sanitize] [w8a8-bench] [f8] [f8-sanitize] [f8-bench] [acext] [report]
# (no word: check bench). Checks and sanitizers run beside one another, benchmarks alone.
# OCTAVO_CUDA_CHECK names a built octavo_cuda_check; without it the program is built in build-gpu (cmake, ninja, nvcc).
set -uo pipefail
cd "$(dirname "$0")/.."
program=${OCTAVO_CUDA_CHECK:-}
if [ -z "$program" ]; then
  cmake -S . -B build-gpu -G Ninja -DOCTAVO_KERNELS_ONLY=ON >/dev/null && ninja -C build-gpu octavo_cuda_check acext_examples || exit 1
  program=build-gpu/octavo_cuda_check
fi
if [ -z "${OCTAVO_CUBLASLT:-}" ]; then  # the rival: beside the toolkit, or inside PyTorch
  found=$(find /usr/local/cuda/lib64/ /opt /usr/lib -name 'libcublasLt.so.1[2-9]' 2>/dev/null | head -1)
  [ -n "$found" ] && export OCTAVO_CUBLASLT=$found
fi
nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit --format=csv,noheader
status=0
[ $# -eq 0 ] && set -- check bench
# sanitize PARTS WORD...: all four tools over the program with these words, in so many parts (racecheck is slow) on as many processors.
sanitize() {
  local parts=$1 log tool part
  shift
  log=$(mktemp -d)
  for tool in memcheck racecheck initcheck synccheck; do
    for ((part = 0; part < parts; ++part)); do
      echo "compute-sanitizer --tool $tool --error-exitcode 9 '$program' $* part $part $parts >'$log/$tool-$part' 2>&1 || touch '$log/failed'"
    done
  done | xargs -d '\n' -P "$(nproc)" -n 1 timeout 500 sh -c
  for part in "$log"/*-*; do echo "$(basename "$part"): $(grep 'runs, ' "$part" | tail -1) $(grep SUMMARY "$part")"; done
  [ -e "$log/failed" ] && status=1
  rm -r "$log"
}
for what in "$@"; do
  printf '\n== %s (%s s so far)\n' "$what" "$SECONDS"
  case $what in
    check)
      log=$(mktemp -d)
      for part in 0 1 2 3 4 5 6 7 8; do timeout 600 "$program" check part $part 9 >"$log/$part" 2>&1 || touch "$log/failed" & done
      wait
      cat "$log"/[0-9]
      [ -e "$log/failed" ] && status=1
      rm -r "$log" ;;
    repeats | huge) timeout 120 "$program" "$what" || status=1 ;;
    sanitize) sanitize 10 check quick ;;
    sweep)
      timeout 200 "$program" bench w4a16-g128 sweep || status=1
      timeout 200 "$program" bench w8a16 sweep || status=1 ;;
    bench)
      timeout 200 "$program" bench w4a16-g128 rival || status=1
      timeout 100 "$program" bench w4a16-g128 alone || status=1
      timeout 100 "$program" bench w8a16 || status=1
      timeout 100 "$program" bench w8a16 alone || status=1
      for scheme in w4a16-g128 w8a16; do
        timeout 100 "$program" bench $scheme shape=1280x4544,13696x4096 m=1,2,8,9,16,17,32,33,64,65,128,129,256,257,512 || status=1
      done ;;
    w8a8) timeout 240 "$program" w8a8 check huge || status=1 ;;
    w8a8-sanitize) sanitize 1 w8a8 check quick ;;
    w8a8-bench)
      timeout 200 "$program" w8a8 bench rival || status=1
      timeout 100 "$program" w8a8 bench early || status=1
      timeout 100 "$program" w8a8 bench row-major || status=1
      timeout 100 "$program" w8a8 bench neighbours || status=1
      timeout 100 "$program" w8a8 bench quantize || status=1 ;;
    acext)  # the programs of docs/acext.md, every runner, and what the adapters cost
      for source in examples/acext/*.cu; do
        name=$(basename "$source" .cu)
        echo "-- $name"
        timeout 20 "$(dirname "$program")/acext_$name" || status=1
      done
      timeout 60 "$program" acext check || status=1
      timeout 60 "$program" acext bench || status=1 ;;
    report) python3 tools/gpu_report.py --run "$program" || status=1 ;;  # docs/gpu-report.json, in less than 200 s
    f8) timeout 240 "$program" f8 check huge || status=1 ;;
    f8-sanitize) sanitize 1 f8 check quick ;;
    f8-bench)
      for kind in e4m3 e4m3-blocks; do
        timeout 200 "$program" w8a8 bench $kind fast rival || status=1
        timeout 100 "$program" w8a8 bench $kind fast early || status=1
        timeout 100 "$program" w8a8 bench $kind fast any-sums || status=1
      done
      timeout 200 "$program" w8a8 bench e4m3 fast-sums fast rival || status=1
      timeout 100 "$program" w8a8 bench e4m3 neighbours || status=1 ;;
    *) echo "unknown word $what"; exit 2 ;;
  esac
done
exit $status
