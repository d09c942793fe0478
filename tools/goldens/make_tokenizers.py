"""Makes tests/data/tokenizers: small tokenizers with the component structure of real model families, and the ids that
Hugging Face's `tokenizers` gives for the lines of tokenizer_text.py.

    python tools/goldens/make_tokenizers.py TRAINING_TEXT

TRAINING_TEXT is any English text of a megabyte or more (the committed files were made from Debian's jargon-text). Only
the vocabularies are stored. Per tokenizer NAME: NAME.json or NAME.model, NAME.ids.json (ids of the first lines; "plain"
where special tokens as text differ) and NAME.fnv (one 64-bit hash a line: ids, ids of plain text, decoded text).
"""
import json
import pathlib
import struct
import sys
import tempfile

import sentencepiece  # noqa: E402
from sentencepiece import sentencepiece_model_pb2 as pb  # noqa: E402
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers,  # noqa: E402
                        processors, trainers)
from transformers.convert_slow_tokenizer import generate_merges  # noqa: E402

sys.path.append(str(pathlib.Path(__file__).resolve().parent))
import tokenizer_text  # noqa: E402

NUM_LINES, NUM_FULL = 10000, 200
OUT = tokenizer_text.DATA

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + TAIL
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def special(*names, **flags):
    return [AddedToken(name, normalized=False, special=True, **flags) for name in names]


def plain(*names, **flags):
    return [AddedToken(name, normalized=flags.pop("normalized", False), special=False, **flags) for name in names]


def corpus(path):
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    return text + list(tokenizer_text.lines(3000, seed=7))


def byte_level(text, pre_tokenizer, added, vocab_size, normalizer=None, post=None, ignore_merges=False):
    tok = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre_tokenizer
    tok.train_from_iterator(text, trainers.BpeTrainer(
        vocab_size=vocab_size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tok.add_tokens(added)
    tok.decoder = decoders.ByteLevel()
    if post:
        tok.post_processor = post(tok)
    return tok


def template(*before):
    return lambda tok: processors.TemplateProcessing(
        single=[*before, "$A"], pair=[*before, "$A", *before, "$B"],
        special_tokens=[(name, tok.token_to_id(name)) for name in before])


def splits(*patterns):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
                                   + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train_sentencepiece(text, **options):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "text").write_text("\n".join(line.replace("\0", "").replace("\r", " ").replace("\n", " ")
                                                             for line in text), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=f"{folder}/text", model_prefix=f"{folder}/m", num_threads=1, minloglevel=2,
            max_sentence_length=100000, **options)
        proto = pb.ModelProto()
        proto.ParseFromString(pathlib.Path(f"{folder}/m.model").read_bytes())
    proto.trainer_spec.ClearField("input")
    proto.trainer_spec.ClearField("model_prefix")
    return proto


def sentencepiece_bpe(proto):
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    vocab = {piece: index for index, (piece, _) in enumerate(pieces)}
    tok = Tokenizer(models.BPE(vocab, generate_merges(vocab, pieces), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.add_tokens([AddedToken(piece.piece, normalized=False, special=piece.type in (2, 3))
                    for piece in proto.pieces if piece.type in (2, 3, 4)])
    return tok


def llama_decoder(strip=True):
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(parts + ([decoders.Strip(content=" ", left=1)] if strip else []))


def llama2(proto):
    tok = sentencepiece_bpe(proto)
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = llama_decoder()
    tok.post_processor = template("<s>")(tok)
    return tok


def mistral(proto):
    tok = sentencepiece_bpe(proto)
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tok.decoder = llama_decoder()
    tok.add_tokens(special("[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"))
    tok.post_processor = template("<s>")(tok)
    return tok


def phi3(proto):
    tok = llama2(proto)
    tok.add_tokens(special("<|endoftext|>") + special("<|user|>", "<|assistant|>", "<|system|>", "<|end|>", rstrip=True)
                   + plain("</s>", rstrip=True))
    return tok


def gemma(proto):
    tok = sentencepiece_bpe(proto)
    tok.normalizer = normalizers.Replace(" ", "▁")
    tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tok.decoder = llama_decoder(strip=False)
    tok.post_processor = template("<bos>")(tok)
    return tok


def unigram(proto):
    tok = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=proto.trainer_spec.unk_id,
                                   byte_fallback=proto.trainer_spec.byte_fallback))
    tok.normalizer = normalizers.Sequence([
        normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
        normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tok.decoder = llama_decoder()
    tok.add_tokens([AddedToken(piece.piece, normalized=False, special=piece.type in (2, 3))
                    for piece in proto.pieces if piece.type in (2, 3, 4)])
    return tok


def xlmr(proto):
    tok = unigram(proto)
    tok.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    tok.add_tokens(special("<mask>", lstrip=True) + plain("the", single_word=True, normalized=True)
                   + plain("NASA", normalized=True))
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return tok


def without_specials(tok):
    """A Unigram model may spell special tokens out of plain text, even with encode_special_tokens; Octavo never does.
    The reference is the same model with their pieces renamed to what no text holds."""
    spec = json.loads(tok.to_str())
    if spec["model"]["type"] != "Unigram":
        return tok
    for added in spec["added_tokens"]:
        if added["special"] and added["id"] < len(spec["model"]["vocab"]):
            spec["model"]["vocab"][added["id"]][0] = f"\ue0ff\ue0fe{added['id']}"
    spec["added_tokens"] = [added for added in spec["added_tokens"] if not added["special"]]
    spec["post_processor"] = None
    return Tokenizer.from_str(json.dumps(spec))


def write(name, tok, save=True):
    if save:
        tok.save(str(OUT / f"{name}.json"), pretty=False)
        tok = Tokenizer.from_file(str(OUT / f"{name}.json"))
    hashes, full, plain_ids = [], [], {}
    blocked = without_specials(tok)
    blocked.encode_special_tokens = True
    for index, line in enumerate(tokenizer_text.lines(NUM_LINES)):
        tok.encode_special_tokens = False
        ids = tok.encode(line).ids
        blocked.encode_special_tokens = True
        as_text = blocked.encode(line, add_special_tokens=False).ids
        text = tok.decode(ids, skip_special_tokens=False)
        hashes.append(tokenizer_text.fnv([*ids, 0xFFFFFFFF, *as_text, 0xFFFFFFFF, *text.encode()]))
        if index < NUM_FULL:
            full.append(ids)
            tok.encode_special_tokens = False
            if as_text != tok.encode(line, add_special_tokens=False).ids:
                plain_ids[str(index)] = as_text
    (OUT / f"{name}.fnv").write_bytes(struct.pack(f"<{len(hashes)}Q", *hashes))
    (OUT / f"{name}.ids.json").write_text(json.dumps({"ids": full, "plain": plain_ids}, separators=(",", ":")))
    print(name, tok.get_vocab_size())


def main():
    text = corpus(sys.argv[1])
    header = "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"
    write("llama3", byte_level(text, splits(LLAMA3), special(*header), 2500, ignore_merges=True, post=lambda tok: processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template("<|begin_of_text|>")(tok)])))
    write("qwen2", byte_level(text, splits(QWEN2), special("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>")
                              + plain("<tool_call>", "</tool_call>", "<think>"), 2500, normalizer=normalizers.NFC(),
                              post=lambda tok: processors.ByteLevel(trim_offsets=False)))
    write("o200k", byte_level(text, splits(O200K), special("<|endoftext|>", "<|user|>", "<|end|>", "<|assistant|>"), 2500))
    write("deepseek_v3", byte_level(text, splits(*DEEPSEEK), special("<｜begin▁of▁sentence｜>", "<|im_end|>") + plain("<think>", normalized=True),
                                    2500, normalizer=normalizers.Sequence([])))
    write("smollm", byte_level(text, pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]),
        special("<|endoftext|>", "<|im_start|>", "<|im_end|>"), 2500))
    write("falcon", byte_level(text, pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False), pre_tokenizers.Digits(),
        pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]), special("<|endoftext|>"), 2500))
    proto = train_sentencepiece(text, model_type="bpe", vocab_size=2500, byte_fallback=True, character_coverage=0.98,
                                normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
                                allow_whitespace_only_pieces=True)
    (OUT / "spm_bpe.model").write_bytes(proto.SerializeToString())
    write("spm_bpe", llama2(proto), save=False)
    write("mistral", mistral(proto))
    write("phi3", phi3(proto))
    proto = train_sentencepiece(text, model_type="bpe", vocab_size=2500, byte_fallback=True, character_coverage=0.98,
                                normalization_rule_name="identity", remove_extra_whitespaces=False, split_digits=True,
                                allow_whitespace_only_pieces=True, add_dummy_prefix=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3,
                                pad_piece="<pad>", bos_piece="<bos>", eos_piece="<eos>", user_defined_symbols="\n\n,▁▁,▁▁▁▁,<unused0>",
                                control_symbols="<start_of_turn>,<end_of_turn>")
    write("gemma", gemma(proto))
    proto = train_sentencepiece(text, model_type="unigram", vocab_size=1200, character_coverage=0.98,
                                user_defined_symbols="<think>")
    (OUT / "spm_unigram.model").write_bytes(proto.SerializeToString())
    write("spm_unigram", unigram(proto), save=False)
    write("xlmr", xlmr(proto))


if __name__ == "__main__":
    main()
