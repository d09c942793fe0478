"""Deterministic mixed text for tokenizer tests; tests/tokenizer/golden_text.cc makes the same lines.

A line is a handful of fragments (tests/data/tokenizers/fragments.json) and random code points, joined with or
without spaces, drawn by splitmix64. A "line" may hold newlines: it is one string to encode.
"""
import json
import pathlib

DATA = pathlib.Path(__file__).resolve().parents[2] / "tests" / "data" / "tokenizers"
MASK = (1 << 64) - 1
# First code point and count of the ranges that random characters come from.
RANGES = [(0x20, 95), (0xA0, 96), (0x100, 128), (0x300, 112), (0x370, 144), (0x400, 256), (0x5D0, 27), (0x620, 80),
          (0x900, 128), (0xE01, 58), (0x1100, 256), (0x1E00, 256), (0x2000, 112), (0x2100, 80), (0x2190, 112),
          (0x2460, 160), (0x3000, 256), (0x4E00, 20000), (0xAC00, 11172), (0xFB00, 80), (0xFE00, 256),
          (0xFF00, 240), (0x1D400, 1024), (0x1F300, 768), (0x20000, 4096), (0xE0100, 240)]


class Random:
    def __init__(self, seed):
        self.state = seed

    def next(self, bound):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) % bound


def lines(count, seed=20261125):
    fragments = json.loads((DATA / "fragments.json").read_text(encoding="utf-8"))
    random = Random(seed)
    for _ in range(count):
        out = []
        for _ in range(1 + random.next(12)):
            kind = random.next(16)
            if kind < 13:
                out.append(fragments[random.next(len(fragments))])
            elif kind < 15:
                first, size = RANGES[random.next(len(RANGES))]
                out.extend(chr(first + random.next(size)) for _ in range(1 + random.next(4)))
            else:
                out.append(str(random.next(10 ** (1 + random.next(9)))))
            if random.next(5) < 3:
                out.append(" ")
        yield "".join(out)


def fnv(ids):
    """64-bit FNV-1a over the ids as little-endian 32-bit numbers."""
    value = 0xCBF29CE484222325
    for number in ids:
        for byte in int(number).to_bytes(4, "little"):
            value = ((value ^ byte) * 0x100000001B3) & MASK
    return value
