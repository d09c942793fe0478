"""Writes tests/data/scheme/ggml_TYPE.bin: random blocks of each ggml type and what the gguf package decodes them to.

Layout: u32 number of values, u32 number of bytes, the bytes, the values as float32. Little-endian.
Usage: python ggml_codec.py OUT_FOLDER
"""
import struct
import sys

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Byte offsets of the binary16 fields, which must be finite for the results to be comparable.
HALVES = {
    Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2], Type.Q8_0: [0],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
    Type.IQ4_NL: [0], Type.IQ4_XS: [0],
}
VALUES = 1024

rng = np.random.default_rng(20240607)
for kind, halves in HALVES.items():
    block, size = GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (VALUES // block, size), dtype=np.uint8)
    for at in halves:  # any finite half, subnormals and both zeros included
        bits = rng.integers(0, 0x7C00, len(blocks)).astype(np.uint16) | (rng.integers(0, 2, len(blocks)) << 15).astype(np.uint16)
        bits[0] &= 0x03FF
        blocks[:, at:at + 2] = bits.astype("<u2").view(np.uint8).reshape(-1, 2)
    values = dequantize(blocks, kind).astype("<f4").reshape(-1)
    assert len(values) == VALUES and np.isfinite(values).all()
    with open(f"{sys.argv[1]}/ggml_{kind.name.lower()}.bin", "wb") as out:
        out.write(struct.pack("<II", len(values), blocks.size) + blocks.tobytes() + values.tobytes())
