#!/usr/bin/env python3
"""Checks the machine code of the Hopper kernels: tools/check_sass.py FILE... [--cuobjdump PATH]

FILE is an object or library made by nvcc. No kernel may spill registers or use local memory; kernels with wgmma must contain
its instructions (HGMMA for 16-bit operands, IGMMA for int8, QGMMA for e4m3) and no slower matrix instruction; pieces that CTAs
exchange are 16 bytes in one instruction. Exit code 77: no cuobjdump here.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

# Kernel name -> matrix instruction it must have, or None. Others are only checked for local memory.
MATRIX = [("woq_tile_kernel", "HGMMA"), ("woq_stream_kernel", "HMMA"), ("woq_small_kernel", "HMMA"), ("acext_direct_kernel", "HMMA"),
          ("w8a8_gemm_kernel.*W8a8CodesE0E", "IGMMA"), ("w8a8_gemm_kernel.*W8a8CodesE[12]E", "QGMMA")]
ALL_MATRIX = re.compile(r"\b(HGMMA|IGMMA|QGMMA|HMMA|IMMA)\b")
SLOWER = {"HMMA", "IMMA"}  # where a wgmma instruction is expected


def run(tool, *arguments):
    return subprocess.run([tool, *arguments], check=True, capture_output=True, text=True).stdout


def check_usage(text):
    """Local memory and stack of each function, from cuobjdump --dump-resource-usage."""
    problems, functions = [], 0
    for name, usage in re.findall(r"Function (\S+?):\s*\n\s*(REG:.*)", text):
        functions += 1
        for what in ("STACK", "LOCAL"):
            found = re.search(what + r":(\d+)", usage)
            if found is None or found.group(1) != "0":
                problems.append(f"{name}: {what.lower()} memory found {found.group(1) if found else 'nothing'}, expected 0")
    return problems, functions


def check_code(text):
    """Matrix instructions and local memory instructions of each function, from cuobjdump -sass."""
    problems, with_matrix = [], 0
    for part in re.split(r"\n\s*Function : ", text)[1:]:
        name = part.split("\n", 1)[0].strip()
        if re.search(r"\b(LDL|STL)\b", part):
            problems.append(f"{name}: reads or writes local memory")
        if narrow := re.findall(r"\b(?:LD|ST)G?\.E(?:\.64)?\.STRONG\.GPU", part):
            problems.append(f"{name}: {len(narrow)} of the exchanges between CTAs are not of 16 bytes")
        for kernel, expected in MATRIX:
            if not re.search(kernel, name):
                continue
            with_matrix += 1
            found = set(ALL_MATRIX.findall(part))
            if expected not in found or (expected not in SLOWER and found & SLOWER):
                problems.append(f"{name}: matrix instructions found {sorted(found) or 'none'}, expected {expected}")
    return problems, with_matrix


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--cuobjdump", help="else the one in PATH, or of build/cuda-tools (tools/deps.sh)")
    arguments = parser.parse_args()
    installed = pathlib.Path(__file__).resolve().parent.parent / "build/cuda-tools/nvidia/cu13/bin"
    os.environ["PATH"] += os.pathsep + str(installed)  # cuobjdump calls nvdisasm
    tool = (arguments.cuobjdump and shutil.which(arguments.cuobjdump)) or shutil.which("cuobjdump")
    if not tool:
        print("no cuobjdump: not checked")
        return 77
    problems, functions, with_matrix = [], 0, 0
    for file in arguments.files:
        found, count = check_usage(run(tool, "--dump-resource-usage", file))
        problems += found
        functions += count
        found, count = check_code(run(tool, "-sass", file))
        problems += found
        with_matrix += count
    if functions == 0 or with_matrix == 0:
        problems.append(f"{functions} functions and {with_matrix} matrix kernels found: is this the right file?")
    print("\n".join(problems) or f"{functions} kernels, {with_matrix} of them with matrix instructions: no spills, no local memory")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
