#!/usr/bin/env python3
"""Checks that includes point down: a folder of src/ includes only the layers it lists, apps/ only the public headers.

check_includes.py            the arrows
check_includes.py --headers  also that every header compiles alone
Exit status 1 when something is wrong, one line each on stderr.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# layer -> the layers right below it; what those may include, it may include too.
BELOW = {
    "base": [],
    "tensor": ["base"],
    "scheme": ["tensor"],
    "formats": ["scheme"],
    "kernels": ["scheme"],
    "tokenizer": ["base"],
    "model": ["formats"],
    "exec": ["model", "kernels"],
    "quantize": ["exec", "tokenizer"],
    "eval": ["exec", "tokenizer"],
    "runtime": ["exec", "tokenizer"],
    "api": ["quantize", "eval", "runtime"],
}
# Libraries that may not be included everywhere: header prefix -> the layers and apps that may.
LIBRARIES = {"pcre2.h": {"formats", "tokenizer"}, "unicode/": {"tokenizer"}, "CLI/": {"apps/cli"}}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".cc", ".cu", ".cuh", ".inc"}


def allowed(layer):
    out = {layer}
    for below in BELOW[layer]:
        out |= allowed(below)
    return out


def sources(*folders):
    for folder in folders:
        yield from sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES)


def includes(path):
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1] == '"', match[2]


def owner(path):
    """'base', ..., 'include' or 'apps/NAME'."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "src":
        return parts[1]
    return "/".join(parts[:2]) if parts[0] == "apps" else "include"


def complaint(path, is_quoted, target):
    """What is wrong with one include, or None."""
    who = owner(path)
    for prefix, users in LIBRARIES.items():
        if target.startswith(prefix) and who not in users:
            return f"only {', '.join(sorted(users))} may include {prefix}"
    if not is_quoted:
        first = target.split("/")[0]
        return 'use "" for own headers' if first in BELOW or first == "octavo" else None
    if target.startswith("octavo/"):
        return None if (ROOT / "include" / target).is_file() else "no such public header"
    if who == "include":
        return "a public header includes only octavo/"
    if who.startswith("apps/"):
        beside = (path.parent / target).is_file() or (ROOT / who / target).is_file()
        return None if beside else "apps include only octavo/ and their own folder"
    if who not in BELOW:
        return f"folder {who} is not in the table of layers"
    layer = target.split("/")[0]
    if layer not in BELOW or "/" not in target:
        return "write the path from src/, e.g. \"base/error.h\""
    if not (ROOT / "src" / target).is_file():
        return "no such file"
    if layer not in allowed(who):
        return f"{who} may include {', '.join(sorted(allowed(who)))}"
    return None


def arrow_errors():
    for path in sources("src", "apps", "include"):
        for number, is_quoted, target in includes(path):
            if problem := complaint(path, is_quoted, target):
                yield f"{path.relative_to(ROOT)}:{number}: {target}: {problem}"


def compile_alone(path):
    flags = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Iinclude", "-Isrc", "-x", "c++"]
    who = owner(path)
    if who.startswith("apps/"):
        flags.append(f"-I{who}")
    # Headers that only a _avx2.cc or _avx512.cc may include need its instruction set.
    flags.append("-march=x86-64-v4" if os.uname().machine == "x86_64" else "-O0")
    # Through a file that includes it, so that `#pragma once` is not in the main file.
    source = f'#include "{path.relative_to(ROOT)}"\n'
    result = subprocess.run([os.environ.get("CXX", "g++"), *flags, "-I.", "-"], input=source, cwd=ROOT,
                            capture_output=True, text=True)
    return None if result.returncode == 0 else f"{path.relative_to(ROOT)}: does not compile alone\n{result.stderr}"


def header_errors():
    headers = [p for p in sources("include", "src", "apps") if p.suffix == ".h"]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from filter(None, pool.map(compile_alone, headers))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--headers", action="store_true", help="also compile every header alone")
    arguments = parser.parse_args()
    errors = list(arrow_errors())
    if arguments.headers:
        errors += header_errors()
    for error in errors:
        print(error, file=sys.stderr)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
