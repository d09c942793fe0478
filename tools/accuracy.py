#!/usr/bin/env python3
"""Makes docs/accuracy.md's table: for each scheme, quantize SmolLM2-135M's float original and judge it. Needs `make demo`
once (model and texts in demo/). Prints a Markdown row as each is done; --extra passes options on to quantize, e.g.
--extra="--clip absmax", and --text judges on another text."""
import argparse
import json
import pathlib
import shlex
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
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


def byte_level_copy(source, target):
    """The same model with the tokenizer the yardstick was measured with: ByteLevel alone, digits not split."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in source.iterdir():
        if file.name == "tokenizer.json":
            tokenizer = json.loads(file.read_text())
            tokenizer["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                                          "use_regex": True}
            (target / file.name).write_text(json.dumps(tokenizer, ensure_ascii=False))
        else:
            (target / file.name).hardlink_to(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", nargs="*", metavar="SCHEME[:METHOD]", help="default: all")
    parser.add_argument("--yardstick-tokens", action="store_true", help="split text as the yardstick did")
    parser.add_argument("--text", default=DEMO / "jargon.txt")
    parser.add_argument("--extra", default="", help="more options of octavo quantize")
    parser.add_argument("--octavo", default=ROOT / "build" / "octavo")
    parser.add_argument("--work", default=DEMO / "accuracy", type=pathlib.Path, help="folder for the quantized model")
    arguments = parser.parse_args()

    def octavo(*words):
        done = subprocess.run([str(arguments.octavo), *map(str, words), "--json", "--quiet"], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    model = DEMO / "float"
    if arguments.yardstick_tokens:
        byte_level_copy(model, arguments.work / "float")
        model = arguments.work / "float"
    cells = [tuple((cell + ":rtn").split(":")[:2]) for cell in arguments.cells] or sorted(CELLS)
    print("| scheme | method | MB | perplexity | KL | same top % | yardstick: perplexity / KL | KL, ours / yardstick | quantize s |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for scheme, method in cells:
        out = arguments.work / "quantized"
        extra = shlex.split(arguments.extra) + (CALIBRATION if method == "gptq" else [])
        # 576 columns are no multiple of 128: only Octavo's own format holds the short last group.
        layout = "octavo" if "g128" in scheme else "compressed-tensors"
        made = octavo("quantize", model, "-o", out, "--format", layout, "--scheme", scheme, "--method", method,
                      "--force", "--fresh", *extra)
        kl = octavo("eval", out, "--kl", model, "--text", arguments.text, *WINDOWS)["kl"]
        anchor = YARDSTICK.get((scheme, method))
        print(f"| {scheme} | {method} | {made['bytes_after'] / 1e6:.1f} | {kl['ppl_model']:.2f} | {kl['mean']:.4f} ± "
              f"{kl['standard_error']:.4f} | {100 * kl['same_top']:.1f} | "
              + (f"{anchor[0]} / {anchor[1]} | {kl['mean'] / anchor[1]:.3f}" if anchor else "- | -")
              + f" | {sum(made['seconds'].values()):.1f} |", flush=True)
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
