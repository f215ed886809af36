#!/usr/bin/env python3
"""Trains the small tokenizers of these fixtures, and writes the tokens that Python's libraries give for hard texts.

Needs the packages `tokenizers` and `sentencepiece`. Usage: make_tokenizers.py [FOLDER]; by default beside this script.
Each tokenizer has the structure of a model in use. `<name>.ids.json` lists for each text of `texts()` its tokens without
special tokens, with them, and the decoded text. Texts are bytes in hexadecimal; what is no UTF-8 counts as U+FFFD.
"""
import io
import json
import os
import random
import sys

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

here = os.path.dirname(os.path.abspath(__file__))
out = sys.argv[1] if len(sys.argv) > 1 else here

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus():
    """Sentences with the words of several languages and of programs, the same ones every time."""
    source = random.Random(7)
    words = ("the of and to in is that it was for on are as with his they at be this have from or one had by word but "
             "not what all were we when your can said there use an each which she do how their if will up other about "
             "out many then them these so some her would make like him into time has look two more write go see number "
             "no way could people my than first water been call who oil its now find long down day did get come made "
             "may part recurrent state model sequence parallel training gradient token Tokenizer Straße naïve café "
             "été größer señor 1984 3.14 42 1,000,000 don't I'm we'll they've HELLO World it's 你好 世界 模型 训练 语言 "
             "序列 我们 机器 学习 これは テスト です Привет мир модель текст").split()
    code = ("def f(x):\n    return x + 1\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n",
            "let value = items.map { $0 * 2 }\n", "if x != None and y >= 0:\n        pass\n",
            "<html><body class=\"main\">text</body></html>\n")
    lines = []
    for _ in range(6000):
        line = " ".join(source.choices(words, k=source.randint(4, 16)))
        lines.append(line[0].upper() + line[1:] + source.choice([".", "!", "?", ";", ":", "...", ", 😀", ""]))
        if source.random() < 0.2:
            lines.append(source.choice(code))
    return lines


def texts(special):
    """Texts that are easily read wrongly, as bytes."""
    hard = [
        "", " ", "  ", "\n", "\t \n", "a", "Hello, world!", " Hello", "Hello ", "  two  spaces  ",
        "The quick brown fox doesn't jump; it's 12345 days. I'LL SAY 'Re'Ve'D 'ſ.",
        "def f(x):\n    if x:\n\t\treturn [1, 2, 3]\r\n\r\n    # done   \n", "tabs\tand\u00a0no-break\u3000ideographic\u2003em\u180e\u200b\u2028z",
        "你好，世界！我们训练语言模型。 これはテストです。한국어 문장", "👩\u200d👩\u200d👧\u200d👦 family 🏳\ufe0f\u200d🌈 flag 🇩🇪 👍🏽!",
        "e\u0301 é A\u030a Å \u1e9b\u0323 ﬁ ① ½ Ⅷ ㎏ ﷺ \u212b \u1100\u1161\u11a8", "Straße ẞ İstanbul ΣΑΣ ǅ",
        "مرحبا بالعالم हिन्दी में ไทย", "x" * 50 + " " * 30 + "yyyy\n\n\n\nz", "▁under▁bar ▁", "<0x41><0xE4> <unk> <s></s>",
        "\u0000\u0001\u007f\u0085\ufeff\ufffd\U0010ffff", "1234567890 ٣٤٥ ²³ 1,000.50 0x1F", "https://example.com/a?b=c&d=%20#e",
        "a\u0300\u0301\u0302b\u20dd 𝒳𝔸 \U0001f9ff\U0001fae8", "\u1c89\ua7cb\U000105c0 new letters \U00010d40 digits", "\r\n\r\r\n \r x",
        "don’t “quote” — dash… ¡¿", "the the the  the   the\nthe\n\nthe",
    ]
    hard += [f"a{s}b {s} c{s}" for s in special] + ["".join(special), f"  {special[0]}  x{special[-1]}  \n y"]
    hard += [special[0][:-1], special[0] + special[0][1:]]
    result = [t.encode("utf-8", "surrogatepass") for t in hard]
    result += [b"\xff\xfe text", b"cut \xe2\x82", b"\xf0\x9f\x98 a \xf0\x9f\x98", b"\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80", b"ok \xe4\xbd\xa0\xe5 end",
               b"\x80\x80abc\xc3"]
    source = random.Random(11)
    alphabet = list("aet ioσя你 \n'.") + ["▁", "é", "\u0301", "😀", "\u200d", "  ", "ing", "the", "\U0001f468"]
    for _ in range(12):
        result.append("".join(source.choices(alphabet, k=40)).encode())
    return result


def write(name, encode, special):
    rows = []
    for raw in texts(special):
        plain, whole, text = encode(raw.decode("utf-8", "replace"))
        rows.append([raw.hex(), plain, whole, text])
    with open(os.path.join(out, name + ".ids.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]\n")


def save(name, tokenizer, special):
    path = os.path.join(out, name + ".json")
    tokenizer.save(path, pretty=False)
    read = Tokenizer.from_file(path)

    def encode(text):
        plain = read.encode(text, add_special_tokens=False).ids
        return plain, read.encode(text).ids, read.decode(plain)

    write(name, encode, special)


def byte_level(name, regex, special, normalizer=None, size=700, ignore_merges=False, bos=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    if regex:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(regex), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=size, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    byte_level_processor = processors.ByteLevel(trim_offsets=False)
    if bos:
        template = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        tokenizer.post_processor = processors.Sequence([byte_level_processor, template])
    else:
        tokenizer.post_processor = byte_level_processor
    save(name, tokenizer, special)


def fallback(name, first, special, size=900):
    """SentencePiece-style byte-pair encoding with byte fallback: Llama 2's normalizers, or Mistral's Metaspace."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    bytes_ = [f"<0x{b:02X}>" for b in range(256)]
    tokenizer.train_from_iterator(
        [line for line in corpus() if line.isascii()],
        trainers.BpeTrainer(vocab_size=size, show_progress=False, special_tokens=["<unk>", "<s>", "</s>"] + bytes_))
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = [token for token in data["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    if first:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        data = json.loads(tokenizer.to_str())
        data["pre_tokenizer"] = None
        tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(s, special=True, normalized=False) for s in special])
    tokenizer.add_tokens([AddedToken("<tool>", lstrip=True, rstrip=True, normalized=False),
                          AddedToken("Word", single_word=True, normalized=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    save(name, tokenizer, special + ["<tool>", "Word"])


def unigram(name, charsmap):
    tokenizer = Tokenizer(models.Unigram())
    steps = [normalizers.Precompiled(charsmap)] if charsmap else [normalizers.Nmt(), normalizers.NFKC()]
    tokenizer.normalizer = normalizers.Sequence(
        steps + [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.train_from_iterator(corpus(), trainers.UnigramTrainer(
        vocab_size=800, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    save(name, tokenizer, ["</s>", "<pad>"])


def mixture():
    """What the others do not have: other splits, digits, punctuation, white space, a suffix, unknown characters."""
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.NFKD(), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated"),
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Split("e", "merged_with_next"),
        pre_tokenizers.Split(Regex("[ao]+"), "merged_with_previous"), pre_tokenizers.Split("i", "contiguous"),
        pre_tokenizers.Split(Regex(r"\w+"), "removed", invert=True)])
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=400, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"], end_of_word_suffix="</w>",
        limit_alphabet=60))
    tokenizer.post_processor = processors.RobertaProcessing(
        ("[SEP]", tokenizer.token_to_id("[SEP]")), ("[CLS]", tokenizer.token_to_id("[CLS]")))
    save("mixture", tokenizer, ["[CLS]", "[SEP]"])


def sentence_piece(name, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line.strip() for line in corpus()]), model_writer=model, minloglevel=2,
        hard_vocab_limit=False, num_threads=1, **options)
    with open(os.path.join(out, name + ".model"), "wb") as file:
        file.write(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())

    def encode(text):
        ids = processor.encode(text)
        return ids, ids, processor.decode(ids)

    write(name, encode, ["<sep>", "<s>"])
    return processor


def charsmap():
    """The map of nmt_nfkc, cut out of a SentencePiece model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, vocab_size=300, minloglevel=2, hard_vocab_limit=False,
        normalization_rule_name=RULE)
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return proto.normalizer_spec.precompiled_charsmap


RULE = "nmt_nfkc"

if __name__ == "__main__":
    os.makedirs(out, exist_ok=True)
    byte_level("gpt2", None, ["<|endoftext|>"], size=600)
    byte_level("llama3", LLAMA3, ["<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>"], ignore_merges=True,
               bos="<|begin_of_text|>", size=600)
    byte_level("qwen2", QWEN2, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizer=normalizers.NFC(), size=600)
    fallback("llama2", False, ["<s>", "</s>"], size=500)
    fallback("mistral", True, ["<s>", "</s>", "[INST]", "[/INST]"], size=500)
    unigram("unigram", None)
    mixture()
    sentence_piece("bpe", model_type="bpe", vocab_size=600, byte_fallback=True, normalization_rule_name="identity",
                   remove_extra_whitespaces=False, user_defined_symbols=["<sep>", "ab▁c"], split_digits=True,
                   character_coverage=0.98)
    small = [("\u212b", "\u00c5"), ("\u00e9", "e\u0301"), ("\ufb01", "fi"), ("\u3000", " "), ("\t", " "), ("\n", " "),
             ("\u200b", ""), ("\u2460", "1")]
    rules = os.path.join("/tmp", "rules.tsv")
    with open(rules, "w") as file:
        for source, target in small:
            file.write(" ".join(f"{ord(c):X}" for c in source) + "\t" + " ".join(f"{ord(c):X}" for c in target) + "\n")
    sentence_piece("unigram-spm", model_type="unigram", vocab_size=600, normalization_rule_tsv=rules,
                   user_defined_symbols=["<sep>"], control_symbols=["<ctl>"], character_coverage=0.98)
