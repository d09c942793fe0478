#!/usr/bin/env python3
"""Octavo beside llama.cpp on SmolLM2-135M, on this machine, in one run: perplexity of the same GGUF, and prefill and decode
speed, runs interleaved, medians. Needs `make demo` once. Instead:
  --kernels    products of one 7B-sized weight in each of ggml's types, and of w4a16-g128 beside the better of Q4_0 and Q4_K, one
               thread, processor time, taking turns; --row names the row of Octavo for the latter
  --files T,T  the demo's GGUF brought to each of these types by llama-quantize (F16, BF16, Q8_0, Q4_0, ...): both programs on the same file
  --random M   the shapes of llama-2-7b or llama-3-8b with random weights: llama.cpp Q4_0 (head Q6_K) and Octavo w4a16-g128 with int8 activations, head w8a16
  --busy       decode of 8 sequences with three busy processes beside it, of the same session, and without

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
WRITER = ["gguf==0.19.0", "numpy==2.4.6"]  # of random GGUF files
BUILD = [ROOT / "build"]  # of octavo and octavo_kernel_bench; --build
GGUF = DEMO / "SmolLM2-135M-Instruct.Q4_1.gguf"
# CPU flag -> switch of llama.cpp's build
EXTENSIONS = {"avx": "AVX", "avx2": "AVX2", "fma": "FMA", "f16c": "F16C", "bmi2": "BMI2", "avx512f": "AVX512",
              "avx512_vnni": "AVX512_VNNI", "avx512vbmi": "AVX512_VBMI", "avx512_bf16": "AVX512_BF16",
              "avx_vnni": "AVX_VNNI"}


def build_llama():
    folder = DEMO / "rival"
    programs = folder / "build" / "bin"
    if all((programs / f"llama-{name}").exists() for name in ("bench", "perplexity", "batched-bench", "quantize")):
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
    subprocess.run(["cmake", "--build", folder / "build", "--target", "llama-bench", "llama-perplexity", "llama-batched-bench", "llama-quantize", "-j",
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


def llama_speed(programs, threads, file=GGUF):
    done = llama(programs, "llama-bench", "-m", file, "-t", threads, "-p", 512, "-n", 64, "-r", 1, "-o", "json")
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


def compare_kernels(programs, types, rounds, row):
    """Seconds of one product: llama.cpp's program and ours run for each type in turn."""
    cache = (programs.parent / "CMakeCache.txt").read_text()
    headers = pathlib.Path(re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", cache, re.M)[1]) / "ggml" / "include"
    rival = BUILD[0] / "ggml_matmul"
    subprocess.run(["c++", "-O2", "-std=c++17", ROOT / "tools" / "ggml_matmul.cc", f"-I{headers}", f"-L{programs}", "-lggml",
                    "-lggml-base", "-lggml-cpu", "-o", rival], check=True)
    rows = ",".join(map(str, KERNEL_ROWS))
    def ours(scheme, *more):
        done = subprocess.run([str(BUILD[0] / "octavo_kernel_bench"), "--int8", "--cpu-time", "--threads", "1", "--rounds",
                               str(rounds), "--m", rows, "--scheme", scheme, *more], check=True, capture_output=True, text=True)
        first = done.stdout.split("ceilings")[1]  # of the two shapes
        return {int(m): float(took) * 1e-6 for m, took in re.findall(r"m=(\d+) +([0-9.]+) us", first)}

    def line(name, theirs, mine):
        cells = [f"{2e-9 * m * N * K / theirs[m]:.0f} / {2e-9 * m * N * K / mine[m]:.0f} ({theirs[m] / mine[m]:.2f})"
                 for m in KERNEL_ROWS]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)

    print("GOP/s of one thread, llama.cpp / Octavo (ratio); activations int8 with a scale per 32 columns, w4a16-g128 per token")
    print("| type | " + " | ".join(f"m = {m}" for m in KERNEL_ROWS) + " |\n|---|" + "---|" * len(KERNEL_ROWS))
    rivals = {}
    for kind in types:
        done = llama(rival.parent, rival.name, N, K, rounds, rows, kind, libraries=programs)
        lines = [words.split() for words in done.stdout.splitlines()]
        theirs = {int(m): float(took) for _, _, m, took in lines}
        if kind in ("q4_0", "q4_K"):
            rivals[kind] = theirs
        line(kind + (f" ({lines[0][1]})" if "CPU" != lines[0][1] else ""), theirs, ours(kind.lower(), "--act", "group"))
    if len(rivals) == 2:
        better = {m: min(times[m] for times in rivals.values()) for m in KERNEL_ROWS}
        line("w4a16-g128, the better of q4_0 and q4_K", better, ours("w4a16-g128", *(["--row", row] if row else [])))


def medians(runs):
    return {name: [statistics.median(column) for column in zip(*found)] for name, found in runs.items()}


def batched(programs, model, threads, batch, prompt, output):
    """Tokens a second of all sequences together, in decode."""
    done = llama(programs, "llama-batched-bench", "-m", model, "-t", threads, "-c", batch * (prompt + output), "-npp", prompt, "-ntg",
                 output, "-npl", batch, "--output-format", "jsonl")
    return json.loads([words for words in done.stdout.splitlines() if words.startswith("{")][-1])["speed_tg"]


def octavo_bench(threads, batch, prompt, output, *model):
    run = octavo("bench", *model, "--batch", batch, "--input", prompt, "--output", output, "--repeats", 1, "--threads", threads)["runs"][0]
    return run["prefill_tokens_per_second"], run["decode_tokens_per_second"]


def compare_files(programs, threads, repeats, types):
    print("| SmolLM2-135M as | llama.cpp prefill 512, decode 64, tokens/s | Octavo | ratios |\n|---|---|---|---|")
    for kind in types:
        file = DEMO / "rival" / f"SmolLM2-135M-Instruct.{kind}.gguf"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            llama(programs, "llama-quantize", "--allow-requantize", GGUF, file, kind, threads)
        act = "float" if kind in ("F32", "F16", "BF16") else "int8-group"
        found = [], []
        for _ in range(repeats):
            found[0].append(llama_speed(programs, threads, file))
            found[1].append(octavo_speed(file, threads, act))
        theirs, ours = ([statistics.median(column) for column in zip(*runs)] for runs in found)
        print(f"| {kind}, --act {act} | {theirs[0]:.0f}, {theirs[1]:.1f} | {ours[0]:.0f}, {ours[1]:.1f} | {ours[0] / theirs[0]:.2f}, "
              f"{ours[1] / theirs[1]:.2f} |", flush=True)


def compare_random(programs, threads, repeats, model):
    gguf = DEMO / "rival" / f"{model}-q4_0.gguf"
    if not gguf.exists():
        gguf.parent.mkdir(parents=True, exist_ok=True)
        packages = gguf.parent / "python"
        if not packages.exists():
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", packages, *WRITER], check=True)
        subprocess.run([sys.executable, ROOT / "tools" / "random_gguf.py", model, gguf], check=True,
                       env=dict(os.environ, PYTHONPATH=str(packages)))

    def theirs():
        done = llama(programs, "llama-bench", "-m", gguf, "-t", threads, "-p", 512, "-n", 16, "-r", 1, "-o", "json")
        rows = {(row["n_prompt"], row["n_gen"]): row["avg_ts"] for row in json.loads(done.stdout)}
        return rows[512, 0], rows[0, 16], batched(programs, gguf, threads, 8, 32, 16)

    def ours(act):
        words = ("--random", model, "--scheme", "w4a16-g128", "--outer", "w8a16", "--act", act)
        return (*octavo_bench(threads, 1, 512, 16, *words), octavo_bench(threads, 8, 32, 16, *words)[1])

    runs = {"llama.cpp Q4_0": theirs, "Octavo w4a16-g128, int8": lambda: ours("int8"), "Octavo w4a16-g128, int8-group": lambda: ours("int8-group")}
    found = {name: [] for name in runs}
    for _ in range(repeats):
        for name, measure in runs.items():
            found[name].append(measure())
            print(name, [f"{value:.2f}" for value in found[name][-1]], file=sys.stderr, flush=True)
    rows = medians(found)
    base = rows["llama.cpp Q4_0"]
    print(f"| {model}, tokens/s (ratio) | prefill 512 | decode | decode, 8 sequences |\n|---|---|---|---|")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{value:.2f} ({value / other:.2f})" for value, other in zip(values, base)) + " |")


def compare_busy(programs, threads, repeats):
    model = DEMO / "w4a16-g64-gptq"
    runs = {"llama.cpp Q4_1": lambda: batched(programs, GGUF, threads, 8, 32, 64),
            "Octavo w4a16-g64, int8-group": lambda: octavo_bench(threads, 8, 32, 64, model, "--act", "int8-group")[1]}
    quiet, busy = {name: [] for name in runs}, {name: [] for name in runs}
    for _ in range(repeats):
        for name, measure in runs.items():
            quiet[name].append([measure()])
        foreign = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
        try:
            for name, measure in runs.items():
                busy[name].append([measure()])
        finally:
            for process in foreign:
                process.kill()
    cores = len(os.sched_getaffinity(0))
    share = min(1.0, threads / (threads + 3) * cores / min(threads, cores))
    print(f"| decode of 8 sequences, tokens/s | alone | with 3 busy processes | of the fair share of {100 * share:.0f} % |\n|---|---|---|---|")
    for name in runs:
        alone, beside = medians(quiet)[name][0], medians(busy)[name][0]
        print(f"| {name} | {alone:.0f} | {beside:.0f} | {100 * beside / alone / share:.0f} % |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama", type=pathlib.Path, help="folder of llama-bench and llama-perplexity")
    parser.add_argument("--build", type=pathlib.Path, default=BUILD[0], help="folder of Octavo's programs")
    parser.add_argument("--types", default=",".join(KERNEL_TYPES), help="ggml's types for --kernels")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--kernels", action="store_true")
    parser.add_argument("--row", default="", help="row of Octavo's kernels for w4a16-g128, e.g. int8_avx2")
    parser.add_argument("--files", default="", help="e.g. F16,BF16,Q8_0,Q4_0")
    parser.add_argument("--random", default="", choices=["", "llama-2-7b", "llama-3-8b"])
    parser.add_argument("--busy", action="store_true")
    arguments = parser.parse_args()
    programs = (arguments.llama or build_llama()).resolve()
    BUILD[0] = arguments.build.resolve()
    if arguments.kernels:
        return compare_kernels(programs, arguments.types.split(","), arguments.repeats, arguments.row)
    if arguments.files:
        return compare_files(programs, arguments.threads, arguments.repeats, arguments.files.split(","))
    if arguments.random:
        return compare_random(programs, arguments.threads, arguments.repeats, arguments.random)
    if arguments.busy:
        return compare_busy(programs, arguments.threads, arguments.repeats)
    compare_perplexity(programs, arguments.threads, arguments.windows)
    compare_speed(programs, arguments.threads, arguments.repeats)


if __name__ == "__main__":
    main()
