#!/usr/bin/env python3
"""Writes a Llama checkpoint with random bf16 weights of any shape, standard library only.
Usage: random_model.py OUT --layers 8 --hidden 512 --intermediate 1536 --heads 8 --kv-heads 4 --vocab 1024 --seed 1"""
import argparse
import array
import json
import pathlib
import random


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    for name, default in (("layers", 8), ("hidden", 512), ("intermediate", 1536), ("heads", 8), ("kv-heads", 4),
                          ("vocab", 1024), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    head = a.hidden // a.heads
    shapes = {"model.embed_tokens.weight": [a.vocab, a.hidden], "model.norm.weight": [a.hidden], "lm_head.weight": [a.vocab, a.hidden]}
    for layer in range(a.layers):
        base = f"model.layers.{layer}."
        shapes |= {base + "input_layernorm.weight": [a.hidden], base + "post_attention_layernorm.weight": [a.hidden],
                   base + "self_attn.q_proj.weight": [a.hidden, a.hidden],
                   base + "self_attn.k_proj.weight": [a.kv_heads * head, a.hidden],
                   base + "self_attn.v_proj.weight": [a.kv_heads * head, a.hidden],
                   base + "self_attn.o_proj.weight": [a.hidden, a.hidden],
                   base + "mlp.gate_proj.weight": [a.intermediate, a.hidden],
                   base + "mlp.up_proj.weight": [a.intermediate, a.hidden],
                   base + "mlp.down_proj.weight": [a.hidden, a.intermediate]}
    chance = random.Random(a.seed)
    # One block of random bf16 values, reused from a random offset for each tensor: fast, and no two rows are equal.
    block = array.array("H", (((chance.getrandbits(1) << 15) | chance.randint(0x3a00, 0x3d00)) for _ in range(1 << 20)))
    header, offset = {}, 0
    for name in sorted(shapes):
        count = 1
        for dim in shapes[name]:
            count *= dim
        header[name] = {"dtype": "BF16", "shape": shapes[name], "data_offsets": [offset, offset + 2 * count]}
        offset += 2 * count
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    a.out.mkdir(parents=True, exist_ok=True)
    with open(a.out / "model.safetensors", "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text)
        for name in sorted(shapes):
            begin, end = header[name]["data_offsets"]
            left = (end - begin) // 2
            if name.endswith("norm.weight"):
                out.write(array.array("H", [0x3f80] * left).tobytes())
                continue
            while left > 0:
                start = chance.randrange(len(block) // 2)
                take = min(left, len(block) - start)
                out.write(block[start:start + take].tobytes())
                left -= take
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": a.hidden,
              "intermediate_size": a.intermediate, "num_hidden_layers": a.layers, "num_attention_heads": a.heads,
              "num_key_value_heads": a.kv_heads, "head_dim": head, "hidden_act": "silu", "rms_norm_eps": 1e-5,
              "rope_theta": 10000.0, "vocab_size": a.vocab, "max_position_embeddings": 2048, "tie_word_embeddings": False,
              "torch_dtype": "bfloat16", "bos_token_id": None, "eos_token_id": None}
    (a.out / "config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    main()
