"""Compares Octavo's reading of a GGUF file with that of transformers, tensor by tensor and bit for bit.

usage: check_gguf.py MODEL.gguf build/formats_test

transformers decodes blocks with the `gguf` package, brings q and k rows into Hugging Face order and takes 1 from Gemma's
norms, so names, order and numbers are checked together. Needs torch, transformers and gguf.
"""
import hashlib
import os
import subprocess
import sys
import tempfile

import torch
from transformers import AutoModelForCausalLM


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, test = (os.path.abspath(path) for path in sys.argv[1:])
    reference = AutoModelForCausalLM.from_pretrained(
        os.path.dirname(model), gguf_file=os.path.basename(model), dtype=torch.float32)
    tied = reference.config.tie_word_embeddings
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as digests:
        for name, value in reference.state_dict().items():
            if tied and name == "lm_head.weight":
                continue
            digest = hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
            digests.write(f"{name} {digest}\n")
        digests.flush()
        environment = dict(os.environ, OCTAVO_CHECK_GGUF=model, OCTAVO_CHECK_GGUF_DIGESTS=digests.name)
        sys.exit(subprocess.run([test, "--gtest_filter=GgufReal.*"], env=environment).returncode)


if __name__ == "__main__":
    main()
