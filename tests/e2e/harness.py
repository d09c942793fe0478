"""Shared by the end-to-end tests: the built command, a tiny model with a byte tokenizer, and texts. Standard library only."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
OCTAVO = pathlib.Path(os.environ.get("OCTAVO", ROOT / "build" / "octavo"))
MODELS = ROOT / "tests" / "data" / "models"


def byte_characters():
    """GPT-2's printable stand-ins: byte -> character."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    mapping = {byte: chr(byte) for byte in printable}
    spare = 256
    for byte in range(256):
        if byte not in mapping:
            mapping[byte] = chr(spare)
            spare += 1
    return mapping


def byte_tokenizer(vocab):
    """A tokenizer.json in which byte b is token b, for b < vocab."""
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {character: byte for byte, character in byte_characters().items() if byte < vocab}, "merges": []},
    }


def text(size, seed=1):
    """Deterministic words of `size` bytes."""
    words = ["fold", "model", "octave", "eight", "four", "bits", "scale", "group", "zero", "point", "token", "layer"]
    out, state = [], seed
    while sum(len(word) + 1 for word in out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(words[(state >> 33) % len(words)])
    return (" ".join(out))[:size]


class Case(unittest.TestCase):
    """A test with a folder of its own: self.model is a tiny Llama with a byte tokenizer, self.text a text file."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="octavo-e2e-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.model = self.folder / "model"
        self.model.mkdir()
        shutil.copy(MODELS / "llama" / "model.safetensors", self.model)
        config = json.loads((MODELS / "llama" / "config.json").read_text())
        config["eos_token_id"] = None  # replies end by length alone
        (self.model / "config.json").write_text(json.dumps(config))
        (self.model / "tokenizer.json").write_text(json.dumps(byte_tokenizer(config["vocab_size"])))
        self.text = self.folder / "text.txt"
        self.text.write_text(text(6000))

    def octavo(self, *arguments, code=0, timeout=120, **options):
        """Runs octavo; checks the exit code; returns (stdout, stderr)."""
        result = subprocess.run([str(OCTAVO), *map(str, arguments)], capture_output=True, timeout=timeout, **options)
        out, err = result.stdout.decode(), result.stderr.decode()
        self.assertEqual(result.returncode, code, f"octavo {' '.join(map(str, arguments))}\n{out}\n{err}")
        return out, err

    def json(self, *arguments, **options):
        """Runs octavo --json; stdout must be exactly one JSON object on one line."""
        out, _ = self.octavo(*arguments, "--json", **options)
        self.assertEqual(out.count("\n"), 1, out)
        return json.loads(out)

    def quantize(self, out, *options, **more):
        return self.json("quantize", self.model, "-o", out, *options, **more)

    def calibration(self):
        return ["--calib", self.text, "--calib-samples", "4", "--calib-length", "64"]


def tree_bytes(folder):
    """{relative path: content} of a directory."""
    folder = pathlib.Path(folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
