#!/usr/bin/env python3
"""Peak resident bytes of `quantize` for random models of 8, 16 and 32 equal layers: it must not grow with the layers.
Prints the table of docs/perf.md. Standard library only."""
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from harness import OCTAVO, byte_tokenizer, text  # noqa: E402


def main():
    print("| layers | model MB | rtn peak MB | gptq peak MB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        words = folder / "text.txt"
        words.write_text(text(20000))
        for layers in (8, 16, 32):
            model = folder / f"model{layers}"
            subprocess.run([sys.executable, ROOT / "tools" / "random_model.py", model, "--layers", str(layers)], check=True)
            (model / "tokenizer.json").write_text(json.dumps(byte_tokenizer(256)))
            peaks = []
            for method in ("rtn", "gptq"):
                command = [OCTAVO, "quantize", model, "-o", folder / f"{layers}{method}", "--scheme", "w4a16-g64", "--method",
                           method, "--json", "--quiet", "--calib", words, "--calib-samples", "8", "--calib-length", "256"]
                made = json.loads(subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, check=True).stdout)
                peaks.append(made["peak_bytes"])
            size = (model / "model.safetensors").stat().st_size
            print(f"| {layers} | {size / 1e6:.0f} | {peaks[0] / 1e6:.0f} | {peaks[1] / 1e6:.0f} |", flush=True)


if __name__ == "__main__":
    main()
