#!/bin/bash
# What `make bench-cpu` prints: integer products against the ceilings of the same run, against oneDNN, and models and products
# beside llama.cpp. Quiet machines give the figures; on a busy one wall clocks lie, ratios less so. Needs `make demo` once.
#   OCTAVO_BENCH_THREADS   default: all processors
set -euo pipefail
cd "$(dirname "$0")/.."
threads=${OCTAVO_BENCH_THREADS:-$(nproc)}
grep -m1 'model name' /proc/cpuinfo
uptime

printf '\n== products against the ceilings\n'
build/octavo_kernel_bench --int8 --threads "$threads" --scheme w4a16-g128,w8a16

printf '\n== W8A8 against oneDNN, with AMX where the CPU has it, then both without\n'
tools/deps.sh bench
cmake -S . -B build >/dev/null
cmake --build build --target octavo_onednn_rival >/dev/null
# OpenMP threads that spin after their work would take the processors from Octavo.
onednn() { OMP_WAIT_POLICY=passive OMP_NUM_THREADS=$threads build/octavo_onednn_rival --threads "$threads"; }
if grep -q amx_int8 /proc/cpuinfo; then
  onednn
  printf -- '-- without AMX\n'
fi
OCTAVO_ISA=$(grep -q avx512bw /proc/cpuinfo && echo avx512) ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI onednn

printf '\n== beside llama.cpp\n'
python3 tools/compare_llamacpp.py --kernels
python3 tools/compare_llamacpp.py
python3 tools/compare_llamacpp.py --files F16,BF16,Q8_0,Q4_0
python3 tools/compare_llamacpp.py --busy
python3 tools/compare_llamacpp.py --random llama-2-7b
