#!/usr/bin/env python3
"""Compares Octavo's logits with transformers' in float32 on a real model: largest and root mean square difference, and
the perplexity that each gives.

    python tools/check_logits.py MODEL.gguf|DIRECTORY TEXT[.gz] [--tokens 4096] [--ctx 2048] [--build build]

Needs torch and transformers (for a GGUF also gguf), and `ninja -C BUILD octavo_dump_logits`. Exit 5 if a logit differs by
1e-3 or more, if the most likely token differs anywhere, or if the perplexities differ by 1e-4 of their value or more.
"""
import argparse
import gzip
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
import transformers

LIMIT = 1e-3
PERPLEXITY_LIMIT = 1e-4


def nll(logits, targets):
    """Sum of -log p of each row's target, in double."""
    rows = logits[: len(targets)].astype(np.float64)
    top = rows.max(1)
    return float((np.log(np.exp(rows - top[:, None]).sum(1)) + top - rows[np.arange(len(targets)), targets]).sum())


def load(path):
    where = dict(pretrained_model_name_or_path=str(path))
    if path.suffix == ".gguf":
        where = dict(pretrained_model_name_or_path=str(path.parent), gguf_file=path.name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**where)
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, attn_implementation="eager")
    return tokenizer, model.eval()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--ctx", type=int, default=2048)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"))
    args = parser.parse_args()

    raw = gzip.open(args.text).read() if args.text.suffix == ".gz" else args.text.read_bytes()
    tokenizer, model = load(args.model)
    text = raw[: args.tokens * 16].decode("utf-8", "replace")
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"][: args.tokens]
    assert len(tokens) == args.tokens, f"the text has only {len(tokens)} tokens"

    vocab = model.config.vocab_size
    worst, squares, flips, magnitude = 0.0, 0.0, 0, 0.0
    scored, loss, reference_loss = 0, 0.0, 0.0
    with tempfile.NamedTemporaryFile() as file:
        file.write(np.array(tokens, dtype="<i4").tobytes())
        file.flush()
        command = [args.build / "octavo_dump_logits", args.model, file.name, str(args.ctx)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as ours:
            for start in range(0, len(tokens), args.ctx):
                window = tokens[start:start + args.ctx]
                with torch.no_grad():
                    reference = model(torch.tensor([window])).logits[0].numpy()
                for row in range(0, len(window), 256):
                    expected = reference[row:row + 256]
                    data = ours.stdout.read(expected.size * 4)
                    assert len(data) == expected.size * 4, "octavo_dump_logits ended early"
                    found = np.frombuffer(data, dtype="<f4").reshape(expected.shape)
                    difference = np.abs(found.astype(np.float64) - expected)
                    worst = max(worst, difference.max())
                    squares += (difference ** 2).sum()
                    flips += int((found.argmax(1) != expected.argmax(1)).sum())
                    magnitude = max(magnitude, np.abs(expected).max())
                    targets = np.array(window[row + 1:row + 257])[: len(expected)]
                    loss += nll(found, targets)
                    reference_loss += nll(expected, targets)
                    scored += len(targets)
    print(f"{len(tokens)} tokens x {vocab} logits, largest {magnitude:.2f}: max |difference| {worst:.3g}, "
          f"rms {np.sqrt(squares / len(tokens) / vocab):.3g}, other most likely token: {flips}")
    ours, theirs = np.exp(loss / scored), np.exp(reference_loss / scored)
    print(f"perplexity over {scored} tokens: Octavo {ours:.6f}, transformers {theirs:.6f}, relative difference "
          f"{abs(ours / theirs - 1):.2g}")
    return 0 if worst < LIMIT and flips == 0 and abs(ours / theirs - 1) < PERPLEXITY_LIMIT else 5


if __name__ == "__main__":
    sys.exit(main())
