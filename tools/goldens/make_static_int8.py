#!/usr/bin/env python3
"""Makes tests/data/static-int8: a tiny Llama, W8A8 per channel with a static scale for each linear's input, as a compressed-tensors
checkpoint, and the logits that transformers with the compressed-tensors package gives for it. Fixed seed.

    tools/goldens/make_static_int8.py tests/data/static-int8
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

folder = pathlib.Path(sys.argv[1])
torch.manual_seed(3)
config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=False)
model = LlamaForCausalLM(config).float().eval()
for parameter in model.parameters():
    if parameter.dim() == 2:
        parameter.data.normal_(0, 0.2)
tokens = torch.randint(0, 64, (1, 40))

largest = {}


def watch(name):
    def hook(_module, inputs, _output):
        largest[name] = max(largest.get(name, 0), inputs[0].abs().max().item())
    return hook


for name, module in model.named_modules():
    if isinstance(module, torch.nn.Linear) and name != "lm_head":
        module.register_forward_hook(watch(name))
with torch.no_grad():
    model(tokens)

stored = {}
for key, value in model.state_dict().items():
    module = key.removesuffix(".weight")
    if module not in largest:
        stored[key] = value.contiguous()
        continue
    scale = value.abs().amax(1, keepdim=True) / 127.5
    stored[key] = torch.clamp(torch.round(value / scale), -128, 127).to(torch.int8)
    stored[module + ".weight_scale"] = scale
    stored[module + ".input_scale"] = torch.tensor([largest[module] * 0.8 / 127.5])  # so that some values pass both ends
save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})

out = json.loads(config.to_json_string())
out["architectures"] = ["LlamaForCausalLM"]
out.pop("dtype", None)
out["torch_dtype"] = "float32"
integers = {"num_bits": 8, "type": "int", "symmetric": True, "dynamic": False}
out["quantization_config"] = {
    "quant_method": "compressed-tensors", "format": "int-quantized", "quantization_status": "compressed", "ignore": ["lm_head"],
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {**integers, "strategy": "channel"},
                                  "input_activations": {**integers, "strategy": "tensor"}, "output_activations": None}}}
(folder / "config.json").write_text(json.dumps(out, indent=1) + "\n")

loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
with torch.no_grad():
    logits = loaded(tokens).logits[0].float().numpy()
logits.astype("<f4").tofile(folder / "logits.bin")
tokens[0].numpy().astype("<i4").tofile(folder / "tokens.bin")
