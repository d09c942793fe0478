#!/bin/bash
# Installs what Octavo needs from Debian, skipping what is there. `deps.sh demo` adds the demo's texts, `deps.sh bench` a rival.
set -euo pipefail
packages=(build-essential cmake ninja-build ccache pkg-config libpcre2-dev libicu-dev libcli11-dev libgtest-dev
          clang-14 libclang-rt-14-dev clang-format clang-tidy python3 python3-pip)
[ "${1:-}" = demo ] && packages+=(jargon-text debian-reference-en)
[ "${1:-}" = bench ] && packages+=(libdnnl-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "installing: ${missing[*]}"
  root=(); [ "$(id -u)" -eq 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
# Where the GPU kernels are compiled, their machine code is checked: with the disassembler of PyPI if the toolkit has none.
cd "$(dirname "$0")/.."
if [ "${1:-}" != demo ] && command -v nvcc >/dev/null && ! command -v cuobjdump >/dev/null && [ ! -x build/cuda-tools/nvidia/cu13/bin/nvdisasm ]; then
  echo "installing: nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm"
  python3 -m pip install -q --root-user-action=ignore --no-deps --target build/cuda-tools nvidia-cuda-cuobjdump==13.5.37 \
    nvidia-cuda-nvdisasm==13.5.37 || echo "not to be had: the machine code of GPU kernels will not be checked"
fi
