#!/bin/bash
# Installs what Octavo needs from Debian, skipping what is there. `deps.sh demo` adds the demo's texts.
set -euo pipefail
packages=(build-essential cmake ninja-build ccache pkg-config libpcre2-dev libicu-dev libcli11-dev libgtest-dev
          clang-14 libclang-rt-14-dev clang-format clang-tidy python3 python3-pip)
[ "${1:-}" = demo ] && packages+=(jargon-text debian-reference-en)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "installing: ${missing[*]}"
root=(); [ "$(id -u)" -eq 0 ] || root=(sudo)
"${root[@]}" apt-get update -qq
"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
