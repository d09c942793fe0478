#!/usr/bin/env python3
"""Makes tests/data/models: one tiny random model for each family and rope kind, saved by transformers, and what
transformers computes with it in float32 (eager attention): logits of a prompt and greedy tokens through its KV cache.

    python tools/goldens/make_tiny_models.py [NAME...]     (needs torch and transformers)

expected.bin beside each model, little-endian: int32 prompt, generated, vocab; int32 tokens[prompt + generated];
float32 prompt logits [prompt, vocab]; float32 logits of the last generated token's predecessor [vocab].
"""
import json
import pathlib
import struct
import sys

import torch
import transformers
from transformers import (Gemma2Config, Gemma3TextConfig, GemmaConfig, LlamaConfig,
                          MistralConfig, Phi3Config, Qwen2Config, Qwen3Config)

ROOT = pathlib.Path(__file__).resolve().parents[2] / "tests/data/models"
PROMPT, GENERATED, VOCAB = 24, 20, 128

SMALL = dict(vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
             initializer_range=0.2)
LONG = dict(rope_type="longrope", short_factor=[1.0 + 0.05 * i for i in range(6)],
            long_factor=[1.5 + 0.5 * i for i in range(6)])


def rope(**kwargs):
    return dict(rope_parameters=dict(rope_theta=500.0, **kwargs))


MODELS = {
    # family
    "llama": LlamaConfig(**SMALL, **rope(rope_type="default")),
    "llama-bias-tied": LlamaConfig(**SMALL, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, head_dim=24),
    "mistral": MistralConfig(**SMALL, sliding_window=9, head_dim=16),
    "qwen2": Qwen2Config(**{**SMALL, "num_hidden_layers": 3}, use_sliding_window=True, sliding_window=7,
                         max_window_layers=1),
    "qwen3": Qwen3Config(**SMALL, head_dim=24, tie_word_embeddings=True),
    "gemma": GemmaConfig(**SMALL, head_dim=32),
    "gemma2": Gemma2Config(**SMALL, head_dim=24, sliding_window=6, query_pre_attn_scalar=20,
                           attn_logit_softcapping=3.0, final_logit_softcapping=4.0),
    "gemma3": Gemma3TextConfig(**{**SMALL, "num_hidden_layers": 4}, head_dim=24, sliding_window=5,
                               query_pre_attn_scalar=20, sliding_window_pattern=3,
                               rope_parameters=dict(
                                   full_attention=dict(rope_type="linear", factor=4.0, rope_theta=5000.0),
                                   sliding_attention=dict(rope_type="default", rope_theta=200.0))),
    "phi3": Phi3Config(**SMALL, sliding_window=10, partial_rotary_factor=0.75, resid_pdrop=0.0),
    # rope kinds
    "rope-linear": LlamaConfig(**SMALL, **rope(rope_type="linear", factor=3.0)),
    "rope-llama3": LlamaConfig(**SMALL, **rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                               high_freq_factor=4.0, original_max_position_embeddings=64)),
    "rope-yarn": LlamaConfig(**SMALL, **rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)),
    "rope-yarn-mscale": Qwen2Config(**SMALL, **rope(rope_type="yarn", factor=4.0, beta_fast=16.0, beta_slow=2.0,
                                                    mscale=0.9, mscale_all_dim=0.6,
                                                    original_max_position_embeddings=32, truncate=False)),
    # generation crosses the original context / the prompt is beyond it already
    "rope-longrope-crossing": Phi3Config(**SMALL, partial_rotary_factor=0.75, original_max_position_embeddings=34,
                                      rope_parameters=dict(rope_theta=500.0, partial_rotary_factor=0.75, **LONG)),
    "rope-longrope-long": Phi3Config(**SMALL, partial_rotary_factor=0.75, original_max_position_embeddings=16,
                                     rope_parameters=dict(rope_theta=500.0, partial_rotary_factor=0.75, **LONG)),
}


def randomize(model, generator):
    """Values that bfloat16 holds, norms and biases that matter."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                center = 0.0 if "Gemma" in type(model).__name__ else 1.0
                value = center + 0.3 * noise
            elif name.endswith("bias"):
                value = 0.3 * noise
            else:
                value = noise * (1.0 / parameter.shape[-1] ** 0.5) * (3.0 if "embed" not in name else 1.0)
            parameter.copy_(value.to(torch.bfloat16).float())


def make(name, config):
    config._attn_implementation = "eager"
    generator = torch.Generator().manual_seed(sum(name.encode()) * 7919)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    randomize(model, generator)
    model.tie_weights()
    folder = ROOT / name
    folder.mkdir(parents=True, exist_ok=True)
    tokens = torch.randint(3, VOCAB, (1, PROMPT), generator=generator)
    with torch.no_grad():
        out = model(tokens, use_cache=True)
        prompt_logits, cache = out.logits[0], out.past_key_values
        logits = prompt_logits[-1]
        for step in range(GENERATED):
            top = torch.topk(logits, 2).values
            assert top[0] - top[1] > 1e-3, (name, "ambiguous greedy token: change the seed")
            token = logits.argmax().reshape(1, 1)
            tokens = torch.cat([tokens, token], dim=1)
            if step + 1 < GENERATED:
                out = model(token, past_key_values=cache, use_cache=True)
                logits = out.logits[0, -1]
    with open(folder / "expected.bin", "wb") as f:
        f.write(struct.pack("<3i", PROMPT, GENERATED, VOCAB))
        f.write(tokens[0].to(torch.int32).numpy().tobytes())
        f.write(prompt_logits.float().contiguous().numpy().tobytes())
        f.write(logits.float().contiguous().numpy().tobytes())
    model.to(torch.bfloat16).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    spread = prompt_logits.std().item()
    size = sum(p.stat().st_size for p in folder.iterdir())
    print(f"{name:22s} {size / 1024:7.1f} KiB  logits max {prompt_logits.abs().max():7.3f} std {spread:6.3f}")


def main():
    for name, config in MODELS.items():
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            make(name, config)
    total = sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file())
    print(f"total {total / 1024 / 1024:.2f} MiB")


if __name__ == "__main__":
    main()
