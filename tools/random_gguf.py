#!/usr/bin/env python3
"""A GGUF of a released model's shapes with random weights, for speed comparisons: linear layers and embedding Q4_0, head Q6_K, as
llama-quantize makes them of Q4_0. No vocabulary. Needs the packages gguf and numpy.
  random_gguf.py llama-2-7b OUT.gguf"""
import argparse
import pathlib

import gguf
import numpy as np

# vocabulary, hidden, layers, heads, KV heads, intermediate, rope base
SHAPES = {"llama-2-7b": (32000, 4096, 32, 32, 32, 11008, 1e4), "llama-3-8b": (128256, 4096, 32, 32, 8, 14336, 5e5)}
Q4_0, Q6_K = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q6_K


def blocks(rng, n, k, kind):
    """Random codes; scales so that a product of unit inputs stays near 1."""
    length, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (n, k // length, size), dtype=np.uint8)
    scale = np.float16(0.2 / np.sqrt(k)) if kind == Q4_0 else np.float16(0.001 / np.sqrt(k))
    at = 0 if kind == Q4_0 else size - 2
    data[:, :, at:at + 2] = np.frombuffer(scale.tobytes(), dtype=np.uint8)
    return data.reshape(n, -1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=SHAPES)
    parser.add_argument("out", type=pathlib.Path)
    arguments = parser.parse_args()
    vocab, hidden, layers, heads, kv_heads, wide, base = SHAPES[arguments.model]
    rng = np.random.default_rng(1)
    writer = gguf.GGUFWriter(arguments.out, "llama", use_temp_file=True)
    writer.add_context_length(4096)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(wide)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(base)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)

    def linear(name, n, k, kind=Q4_0):
        writer.add_tensor(name, blocks(rng, n, k, kind), raw_dtype=kind)

    linear("token_embd.weight", vocab, hidden)
    for i in range(layers):
        kv = kv_heads * hidden // heads
        for name, n, k in (("attn_q", hidden, hidden), ("attn_k", kv, hidden), ("attn_v", kv, hidden), ("attn_output", hidden, hidden),
                           ("ffn_gate", wide, hidden), ("ffn_up", wide, hidden), ("ffn_down", hidden, wide)):
            linear(f"blk.{i}.{name}.weight", n, k)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{i}.{name}.weight", np.ones(hidden, dtype=np.float32))
    writer.add_tensor("output_norm.weight", np.ones(hidden, dtype=np.float32))
    linear("output.weight", vocab, hidden, Q6_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
