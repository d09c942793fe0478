#!/usr/bin/env python3
"""Octavo beside llama.cpp on SmolLM2-135M, on this machine, in one run: perplexity of the same GGUF, and prefill and decode
speed, runs interleaved, medians. Needs `make demo` once. With --kernels instead: products of one 7B-sized weight in each of
ggml's types, one thread, processor time, taking turns.

llama.cpp is built from the source package of llama-cpp-python (into demo/rival, about ten minutes on two cores) for this
CPU's AVX2 and AVX-512 extensions, AMX excepted: with AMX that version's Q4_1 product is wrong (perplexity 253.9 instead of
17.0 on the first four windows). --llama names the folder of an existing build's programs instead."""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
PACKAGE = "llama-cpp-python==0.3.16"
BUILD = [ROOT / "build"]  # of octavo and octavo_kernel_bench; --build
GGUF = DEMO / "SmolLM2-135M-Instruct.Q4_1.gguf"
# CPU flag -> switch of llama.cpp's build
EXTENSIONS = {"avx": "AVX", "avx2": "AVX2", "fma": "FMA", "f16c": "F16C", "bmi2": "BMI2", "avx512f": "AVX512",
              "avx512_vnni": "AVX512_VNNI", "avx512vbmi": "AVX512_VBMI", "avx512_bf16": "AVX512_BF16",
              "avx_vnni": "AVX_VNNI"}


def build_llama():
    folder = DEMO / "rival"
    programs = folder / "build" / "bin"
    if (programs / "llama-bench").exists() and (programs / "llama-perplexity").exists():
        return programs
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", folder, PACKAGE],
                   check=True)
    archive = next(folder.glob("*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    source = next(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))
    flags = set(re.search(r"^flags\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)[1].split())
    switches = [f"-DGGML_{name}={'ON' if flag in flags else 'OFF'}" for flag, name in EXTENSIONS.items()]
    subprocess.run(["cmake", "-S", source, "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=OFF",
                    "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF",
                    "-DLLAMA_BUILD_SERVER=OFF", *switches], check=True)
    subprocess.run(["cmake", "--build", folder / "build", "--target", "llama-bench", "llama-perplexity", "-j",
                    str(os.cpu_count())], check=True)
    return programs


def octavo(*words):
    done = subprocess.run([str(BUILD[0] / "octavo"), *map(str, words), "--json", "--quiet"], stdout=subprocess.PIPE,
                          check=True)
    return json.loads(done.stdout)


def llama(programs, name, *words, libraries=None):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(libraries or programs))
    return subprocess.run([str(programs / name), *map(str, words)], env=environment, check=True, capture_output=True,
                          text=True)


def compare_perplexity(programs, threads, windows):
    done = llama(programs, "llama-perplexity", "-m", GGUF, "-f", DEMO / "jargon.txt", "-c", 512, "--chunks", windows, "-t",
                 threads)
    theirs = float(re.search(r"Final estimate: PPL = ([0-9.]+)", done.stdout + done.stderr)[1])
    ours = octavo("eval", GGUF, "--ppl", DEMO / "jargon.txt", "--mode", "llamacpp", "--ctx", 512, "--windows",
                  windows)["ppl"]["perplexity"]
    print(f"perplexity, {windows} windows of 512 tokens: llama.cpp {theirs:.4f}, Octavo {ours:.4f}, "
          f"{100 * (ours / theirs - 1):+.2f} %", flush=True)


def llama_speed(programs, threads):
    done = llama(programs, "llama-bench", "-m", GGUF, "-t", threads, "-p", 512, "-n", 64, "-r", 1, "-o", "json")
    rows = {(row["n_prompt"], row["n_gen"]): row["avg_ts"] for row in json.loads(done.stdout)}
    return rows[512, 0], rows[0, 64]


def octavo_speed(model, threads, act="float"):
    run = octavo("bench", model, "--batch", 1, "--input", 512, "--output", 64, "--repeats", 1, "--threads", threads, "--act",
                 act)["runs"][0]
    return run["prefill_tokens_per_second"], run["decode_tokens_per_second"]


def compare_speed(programs, threads, repeats):
    rivals = {"llama.cpp Q4_1": lambda: llama_speed(programs, threads)}
    models = {"float32": "float", "w8a16": "w8a16-rtn", "w4a16-g64": "w4a16-g64-gptq"}
    rivals |= {f"Octavo {name}": (lambda path=DEMO / folder: octavo_speed(path, threads)) for name, folder in models.items()}
    rivals |= {f"Octavo Q4_1, its own bits, {act}": (lambda act=act: octavo_speed(GGUF, threads, act))
               for act in ("float", "int8", "int8-group")}
    times = {name: [] for name in rivals}
    for _ in range(repeats):
        for name, measure in rivals.items():
            times[name].append(measure())
    base = [statistics.median(column) for column in zip(*times["llama.cpp Q4_1"])]
    print("| program and model | prefill 512, tokens/s | decode 64, tokens/s | prefill ratio | decode ratio |")
    print("|---|---|---|---|---|")
    for name, found in times.items():
        prefill, decode = (statistics.median(column) for column in zip(*found))
        print(f"| {name} | {prefill:.0f} | {decode:.1f} | {prefill / base[0]:.2f} | {decode / base[1]:.2f} |", flush=True)


KERNEL_TYPES = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs"]
KERNEL_ROWS = [1, 2, 4, 8, 32, 128, 512]
N, K = 11008, 4096


def compare_kernels(programs, types, rounds):
    """Seconds of one product: llama.cpp's program and ours run for each type in turn."""
    cache = (programs.parent / "CMakeCache.txt").read_text()
    headers = pathlib.Path(re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", cache, re.M)[1]) / "ggml" / "include"
    rival = BUILD[0] / "ggml_matmul"
    subprocess.run(["c++", "-O2", "-std=c++17", ROOT / "tools" / "ggml_matmul.cc", f"-I{headers}", f"-L{programs}", "-lggml",
                    "-lggml-base", "-lggml-cpu", "-o", rival], check=True)
    rows = ",".join(map(str, KERNEL_ROWS))
    print("GOP/s of one thread, llama.cpp / Octavo (ratio); activations int8 with a scale per 32 columns")
    print("| type | " + " | ".join(f"m = {m}" for m in KERNEL_ROWS) + " |\n|---|" + "---|" * len(KERNEL_ROWS))
    for kind in types:
        done = llama(rival.parent, rival.name, N, K, rounds, rows, kind, libraries=programs)
        lines = [line.split() for line in done.stdout.splitlines()]
        theirs = {int(m): float(took) for _, _, m, took in lines}
        done = subprocess.run([str(BUILD[0] / "octavo_kernel_bench"), "--int8", "--cpu-time", "--threads", "1", "--act",
                               "group", "--rounds", str(rounds), "--m", rows, "--scheme", kind.lower()], check=True,
                              capture_output=True, text=True)
        first = done.stdout.split("ceilings")[1]  # of the two shapes
        ours = {int(m): float(took) * 1e-6 for m, took in re.findall(r"m=(\d+) +([0-9.]+) us", first)}
        cells = [f"{2e-9 * m * N * K / theirs[m]:.0f} / {2e-9 * m * N * K / ours[m]:.0f} ({theirs[m] / ours[m]:.2f})"
                 for m in KERNEL_ROWS]
        name = kind + (" (repacked)" if "REPACK" in lines[0][1] else "")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=pathlib.Path, help="folder of llama-bench and llama-perplexity")
    parser.add_argument("--build", type=pathlib.Path, default=BUILD[0], help="folder of Octavo's programs")
    parser.add_argument("--types", default=",".join(KERNEL_TYPES), help="ggml's types for --kernels")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--kernels", action="store_true", help="products alone, for each of ggml's types")
    arguments = parser.parse_args()
    programs = (arguments.llama or build_llama()).resolve()
    BUILD[0] = arguments.build.resolve()
    if arguments.kernels:
        return compare_kernels(programs, arguments.types.split(","), arguments.repeats)
    compare_perplexity(programs, arguments.threads, arguments.windows)
    compare_speed(programs, arguments.threads, arguments.repeats)


if __name__ == "__main__":
    main()
