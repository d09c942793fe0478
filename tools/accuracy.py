#!/usr/bin/env python3
"""Makes docs/accuracy.md's table: for each scheme, quantize SmolLM2-135M's float original and judge it. Needs `make demo`
once (model and texts in demo/). Usage: tools/accuracy.py [SCHEME[:METHOD] ...]; prints a Markdown row as each is done."""
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
OCTAVO, DEMO = ROOT / "build" / "octavo", ROOT / "demo"
WINDOWS = ["--ctx", "1024", "--windows", "24", "--start", "100000", "--stride", "8192"]
CALIBRATION = ["--calib", str(DEMO / "debian-reference.txt"), "--calib-samples", "32", "--calib-length", "512",
               "--calib-start", "20000"]
# A plain PyTorch implementation on the same text and windows: absmax scales; gptq with act-order, static groups,
# damping 0.01, blocks of 128. (scheme, method) -> (perplexity, KL).
YARDSTICK = {
    ("w8a16", "rtn"): (41.12, 0.0038), ("w4a16", "rtn"): (89.16, 0.882), ("w4a16", "gptq"): (71.81, 0.570),
    ("w4a16-g128", "rtn"): (73.04, 0.724), ("w4a16-g128", "gptq"): (57.68, 0.356),
    ("w4a16-g128-asym", "rtn"): (59.30, 0.453), ("w4a16-g128-asym", "gptq"): (52.83, 0.254),
    ("w4a16-g64", "rtn"): (65.03, 0.596), ("w4a16-g64", "gptq"): (53.37, 0.294),
    ("w4a16-g32", "rtn"): (57.95, 0.444), ("w4a16-g32-asym", "rtn"): (52.72, 0.329),
}
CELLS = [*YARDSTICK, ("w8a16", "gptq"), ("w4a16-g64-asym", "rtn"), ("w4a16-g64-asym", "gptq"), ("w4a16-g32", "gptq"),
         ("w4a16-g32-asym", "gptq")]


def octavo(*arguments):
    result = subprocess.run([str(OCTAVO), *map(str, arguments), "--json", "--quiet"], stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


def main():
    wanted = [tuple((cell + ":rtn").split(":")[:2]) for cell in sys.argv[1:]] or sorted(CELLS)
    print("| scheme | method | MB | perplexity | KL | same top % | yardstick: perplexity / KL | KL, ours / yardstick | quantize s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for scheme, method in wanted:
        out = DEMO / "accuracy"
        extra = CALIBRATION if method == "gptq" else []
        # 576 columns are no multiple of 128: only Octavo's own format holds the short last group.
        layout = "octavo" if "g128" in scheme else "compressed-tensors"
        made = octavo("quantize", DEMO / "float", "-o", out, "--format", layout, "--scheme", scheme, "--method", method, "--force", "--fresh", *extra)
        kl = octavo("eval", out, "--kl", DEMO / "float", "--text", DEMO / "jargon.txt", *WINDOWS)["kl"]
        ours = kl["mean"]
        anchor = YARDSTICK.get((scheme, method))
        print(f"| {scheme} | {method} | {made['bytes_after'] / 1e6:.1f} | {kl['ppl_model']:.2f} | {ours:.4f} ± "
              f"{kl['standard_error']:.4f} | {100 * kl['same_top']:.1f} | "
              + (f"{anchor[0]} / {anchor[1]} | {ours / anchor[1]:.3f}" if anchor else "- | -")
              + f" | {sum(made['seconds'].values()):.1f} |", flush=True)
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
