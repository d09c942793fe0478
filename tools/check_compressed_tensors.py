#!/usr/bin/env python3
"""Does transformers + compressed-tensors load what Octavo writes, with the same numbers?

  check_compressed_tensors.py QUANTIZED FLOAT [--dtype float32]

QUANTIZED is a directory written by Octavo in the format compressed-tensors, FLOAT the same model dequantized by Octavo:
`octavo convert QUANTIZED -o FLOAT --format hf --dtype float32`. Each weight that the package decompresses must equal
Octavo's bit for bit (after rounding to --dtype), and every quantized layer must have been found. The logits of both must
agree: exactly for weight-only schemes in the same dtype; with int8 activations the package rounds activations as well, so
there the relative difference is reported and bounded by 0.1. Needs torch, transformers and compressed-tensors.
"""
import argparse
import json
import pathlib
import sys

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM


def load(path, dtype):
    model, report = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, output_loading_info=True)
    problems = {key: sorted(report[key]) for key in ("missing_keys", "unexpected_keys", "mismatched_keys") if report[key]}
    return model.eval(), problems


def quantized_layers(path):
    names = set()
    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            names.update(name.removesuffix(".weight_scale") for name in tensors.keys() if name.endswith(".weight_scale"))
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quantized", type=pathlib.Path)
    parser.add_argument("float", type=pathlib.Path)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--tokens", type=int, default=48)
    args = parser.parse_args()
    dtype = getattr(torch, args.dtype)
    config = json.loads((args.quantized / "config.json").read_text())["quantization_config"]
    integer_activations = any(group["input_activations"] for group in config["config_groups"].values())

    model, problems = load(args.quantized, dtype)
    reference, reference_problems = load(args.float, dtype)
    failures = [f"{name}: {keys}" for name, keys in {**problems, **reference_problems}.items()]

    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, model.config.vocab_size, (2, args.tokens), generator=generator)
    with torch.no_grad():
        logits = model(ids).logits.float()  # the first pass decompresses the weights
        expected = reference(ids).logits.float()

    layers = quantized_layers(args.quantized)
    modules = dict(model.named_modules())
    wrapped = {name for name, module in modules.items() if getattr(module, "quantization_scheme", None) is not None}
    if wrapped != layers:
        failures.append(f"layers in the files but not quantized by the loader: {sorted(layers - wrapped)}; "
                        f"the other way round: {sorted(wrapped - layers)}")
    ours = dict(reference.named_parameters())
    differing = 0
    for name, parameter in model.named_parameters():
        if name.endswith(("_scale", "_zero_point", "weight_shape", "weight_packed")):
            continue
        if name not in ours:
            failures.append(f"{name}: not in {args.float}")
        elif not torch.equal(parameter, ours[name]):
            differing += 1
            error = (parameter.float() - ours[name].float()).abs().max().item()
            failures.append(f"{name}: largest difference {error:g} (dtype {parameter.dtype})")
    difference = ((logits - expected).norm() / expected.norm()).item()
    limit = 0.1 if integer_activations else 0.0
    if not difference <= limit:
        failures.append(f"logits: relative difference {difference:g}, allowed {limit:g}")
    print(json.dumps({"quantized": str(args.quantized), "dtype": args.dtype, "format": config["format"],
                      "layers": len(layers), "differing_weights": differing, "logits_relative_difference": difference,
                      "failures": failures[:20]}, indent=2))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
