"""Published tokenizers give the ids that Hugging Face's give, on real lines and on hard ones."""

import gzip
import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="needs the extra `parity`")
import sentencepiece  # noqa: E402
import tokenizers  # noqa: E402

from keras_transformer.text import (  # noqa: E402
    KINDS,
    TextError,
    load_vocabulary,
    train_tokenizer,
)
from keras_transformer.zoo.tokenizers import load_tokenizer, save_tokenizer  # noqa: E402

transformers.logging.set_verbosity_error()
pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
DATA = Path(__file__).parents[3] / "shared" / "data"
HARD = [
    "",
    " ",
    "   ",
    "\n",
    "\t\t",
    "a",
    "trailing ",
    "two  spaces   three",
    "line\nbreak\n\nand\ttab\r\n",
    "emoji 😀 👩‍👩‍👧‍👦 🇩🇪 👍🏽",
    "e\u0301 o\u0308 n\u0303 Z\u0351\u036b\u0343",
    "été naïve Straße ΟΔΟΣ İstanbul",
    "שלום עולם مرحبا بالعالم",
    "control \x00\x01\x07\x1b \x7f \u200b\u200d\ufeff\u00ad\u2028",
    "x" * 5000,
    "a" * 100 + " " + "b" * 101,
    "日本語のテキスト 中文字符 한국어",
    "don't I'll we've 3.14 1,000 (x) [y] {z} <a>",
    "\u00a0nbsp\u3000ideographic",
    "ﬁ ligature ½ ① Ⅷ ｆｕｌｌ",
    "\U0001d54f\U00010348 \ufffd \ud7ff",
    "x▁y Ġ ## ##s <0x0A>",
    "¿Qué? «oui» „ja“ …",
]
SPECIAL = "<s></s><pad> <unk> [CLS] [SEP][MASK] <|endoftext|><mask> <bos> <eos>"


@pytest.fixture(scope="module")
def lines():
    """1,000 real lines in English, German and French."""
    if not DATA.exists():
        pytest.skip(f"real text is not there: {DATA}")
    real = []
    for language in ("en", "de", "fr"):
        data = gzip.decompress((DATA / "multi30k" / f"val.{language}.gz").read_bytes())
        real += [line.strip() for line in data.decode().split("\n")[:230]]
    with zipfile.ZipFile(DATA / "fra-eng" / "fra-eng.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith("fra.txt"))
        pairs = archive.read(name).decode().split("\n")[::1000]
    real += [text for pair in pairs[:60] for text in pair.split("\t")[:2]]
    wiki = (DATA / "wikitext-2" / "valid.txt").read_text().split("\n")
    # It writes rare words as <unk>, which Hugging Face's take for a special token.
    real += [line.replace("<unk>", "rare").strip() for line in wiki if line.strip()][:200]
    assert len(real) >= 1000
    return [*real, *HARD]


def write(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(json.dumps(content))
    return folder


def byte_level(folder, lines, special, split=None):
    """Trains `vocab.json` and `merges.txt`."""
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    pre = tokenizers.pre_tokenizers
    model.pre_tokenizer = pre.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=special,
        initial_alphabet=pre.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(lines, trainer)
    folder.mkdir(parents=True)
    model.model.save(str(folder))


def word_piece(folder, lines, lowercase=False):
    """Trains a `vocab.txt`."""
    model = tokenizers.BertWordPieceTokenizer(lowercase=lowercase)
    model.train_from_iterator(lines, 1000, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_model(str(folder))


def pieces(path, lines, **settings):
    """Trains a SentencePiece model."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        vocab_size=900,
        minloglevel=2,
        **settings,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())


LLAMA = {
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "split_digits": True,
    "allow_whitespace_only_pieces": True,
}


def bert(folder, lines):
    write(folder, config__json={"model_type": "bert"})
    shutil.copy(DATA / "tokenizers" / "bert_base_uncased_vocab.txt", folder / "vocab.txt")


def bert_cased(folder, lines):
    word_piece(folder, lines)
    write(
        folder, tokenizer_config__json={"do_lower_case": False, "tokenizer_class": "BertTokenizer"}
    )


def bert_accents(folder, lines):
    bert(folder, lines)
    config = {"strip_accents": False, "tokenize_chinese_chars": False}
    write(folder, tokenizer_config__json=config)


def distilbert(folder, lines):
    word_piece(folder, lines)
    config = {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": False}
    write(folder, tokenizer_config__json=config, config__json={"model_type": "distilbert"})


def gpt2(folder, lines):
    write(folder, config__json={"model_type": "gpt2"})
    shutil.copy(DATA / "tokenizers" / "gpt2_bpe_encoder.json", folder / "vocab.json")
    shutil.copy(DATA / "tokenizers" / "gpt2_bpe_vocab.bpe", folder / "merges.txt")


def gpt2_padded(folder, lines):
    gpt2(folder, lines)
    config = {"pad_token": "[PAD]", "add_prefix_space": True, "add_bos_token": True}
    write(
        folder, added_tokens__json={"[PAD]": 50257, "<new>": 50258}, tokenizer_config__json=config
    )


def roberta(folder, lines):
    byte_level(folder, lines, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    write(folder, config__json={"model_type": "roberta"})


def bart(folder, lines):
    roberta(folder, lines)
    config = {"tokenizer_class": "BartTokenizer", "add_prefix_space": True}
    write(folder, config__json={"model_type": "bart"}, tokenizer_config__json=config)


def qwen2(folder, lines):
    byte_level(folder, lines, [])
    size = len(json.loads((folder / "vocab.json").read_text()))
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    added = {str(size + i): {"content": name, "special": True} for i, name in enumerate(names)}
    added[str(size + 3)] = {"content": "<think>", "special": False}
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": added,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
    }
    write(folder, config__json={"model_type": "qwen2"}, tokenizer_config__json=config)


def llama(folder, lines):
    pieces(folder / "tokenizer.model", lines, **LLAMA)
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True}
    write(folder, config__json={"model_type": "llama"}, tokenizer_config__json=config)


def mistral(folder, lines):
    llama(folder, lines)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)  # tokenizer.json
    write(folder, config__json={"model_type": "mistral"})


def gemma(folder, lines):
    pieces(
        folder / "tokenizer.model",
        lines,
        **LLAMA,
        add_dummy_prefix=False,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        bos_piece="<bos>",
        eos_piece="<eos>",
        user_defined_symbols=["<mask>", "<start_of_turn>", "\n", "\n\n"],
    )
    config = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True}
    write(folder, config__json={"model_type": "gemma"}, tokenizer_config__json=config)


def xlm_roberta(folder, lines):
    pieces(folder / "sentencepiece.bpe.model", lines)
    write(folder, config__json={"model_type": "xlm-roberta"})


def camembert(folder, lines):
    pieces(folder / "sentencepiece.bpe.model", lines)
    config = {"tokenizer_class": "CamembertTokenizer"}
    write(folder, config__json={"model_type": "camembert"}, tokenizer_config__json=config)


def two_models(folder):
    ids = {"</s>": 0, "<unk>": 1}
    for name in ("source.spm", "target.spm"):
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        for i in range(model.get_piece_size()):
            ids.setdefault(model.id_to_piece(i), len(ids))
    for token in (">>fra<<", "<pad>"):
        ids.setdefault(token, len(ids))
    write(folder, config__json={"model_type": "marian"}, vocab__json=ids)


def marian(folder, lines):
    pieces(folder / "source.spm", lines[:500])
    pieces(folder / "target.spm", lines[500:], model_type="bpe")
    two_models(folder)


def marian_t5(folder, lines):
    folder.mkdir(parents=True)
    for name in ("source.spm", "target.spm"):
        shutil.copy(DATA / "tokenizers" / "t5_tokenizer_base.model", folder / name)
    two_models(folder)


MAKERS = (
    bert,
    bert_cased,
    bert_accents,
    distilbert,
    gpt2,
    gpt2_padded,
    roberta,
    bart,
    qwen2,
    llama,
    mistral,
    gemma,
    xlm_roberta,
    camembert,
    marian,
    marian_t5,
)


@pytest.fixture(scope="module", params=MAKERS, ids=lambda make: make.__name__)
def folder(request, lines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / request.param.__name__
    request.param(folder, [line for line in lines if len(line) < 1000 and line.strip()])
    return folder


@pytest.fixture(scope="module")
def texts(folder, lines):
    if folder.name in ("xlm_roberta", "camembert"):
        # Of pieces in any order, all of one score, the two libraries choose other orders.
        return [line for line in lines if "aaaa" not in line]
    if folder.name != "llama":
        return lines
    # See test_a_space_before_the_text_counts.
    return [line for line in lines if not line.startswith(" ")]


@pytest.fixture(scope="module")
def reference(folder):
    return transformers.AutoTokenizer.from_pretrained(folder)


def framed(tokenizer, *texts):
    return [row.tolist() for row in tokenizer.frame(*texts)]


def test_ids_are_those_of_hugging_face(folder, reference, texts):
    tokenizer = load_tokenizer(folder)
    theirs = [reference(line).input_ids for line in texts]
    assert framed(tokenizer, texts) == theirs
    first, last = len(tokenizer.prefix_ids), len(tokenizer.suffix_ids)
    plain = [row[first : len(row) - last] for row in theirs]
    assert [row.tolist() for row in tokenizer.encode(texts)] == plain
    known = [row for row in theirs if tokenizer.unknown_id not in row]
    assert len(known) > 600
    text = [reference.decode(row, skip_special_tokens=True) for row in known]
    assert tokenizer.decode(known) == text
    assert tokenizer.vocabulary_size == len(reference)
    assert tokenizer.vocabulary == reference.convert_ids_to_tokens(range(len(reference)))


def check_frame(tokenizer, theirs, lines, pairs=None, max_length=None):
    """Compares the ids, and the segments of pairs."""
    cut = {"truncation": max_length is not None, "max_length": max_length, "padding": False}
    # Marian's, which has no use for them, takes its end token for the first text's.
    with_segments = type(theirs).__name__ != "MarianTokenizer"
    expected = theirs(lines, pairs, return_token_type_ids=with_segments, **cut)
    ids, segments = tokenizer.frame_with_segments(lines, pairs, max_length)
    assert [row.tolist() for row in ids] == expected.input_ids
    assert framed(tokenizer, lines, pairs, max_length) == expected.input_ids
    if with_segments:
        assert [row.tolist() for row in segments] == expected.token_type_ids


@pytest.mark.parametrize("side", ["right", "left"])
def test_pairs_and_cut_texts_are_those_of_hugging_face(folder, lines, side, tmp_path):
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text()) if path.exists() else {}
    write(tmp_path, tokenizer_config__json=config | {"truncation_side": side})
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    firsts = [*lines[:60], "a", "a b c d e f", "a b", "", "", "x y"]
    seconds = [*lines[60:120], "a b c d e f", "a", "a b", "", "a", ""]
    for max_length in (None, 4, 5, 6, 9, 30):
        check_frame(tokenizer, theirs, firsts, None, max_length)
        check_frame(tokenizer, theirs, firsts, seconds, max_length)


def test_no_room_for_the_special_tokens(folder):
    tokenizer = load_tokenizer(folder)
    for pairs, frame in zip((None, ["a"]), tokenizer.frames, strict=True):
        [ids] = tokenizer.frame(["a"], pairs, frame.num_special)
        assert len(ids) == frame.num_special
        least = f"max_length, an int, of at least {frame.num_special}"
        for max_length in (frame.num_special - 1, -1, 5.5):
            with pytest.raises(ValueError, match=least):
                tokenizer.frame(["a"], pairs, max_length)


def test_what_tokenizer_json_cuts_and_pads_is_left_to_the_caller():
    if not DATA.exists():
        pytest.skip(f"real text is not there: {DATA}")
    path = DATA / "tokenizers" / "minilm"
    tokenizer = load_tokenizer(path)
    theirs = transformers.AutoTokenizer.from_pretrained(path)
    lines, pairs = ["a dog " * 200, "a"], ["a cat " * 300, "b"]
    assert [len(row) for row in tokenizer.frame(lines)] == [402, 3]
    for max_length in (3, 100, 128, 129, 512):
        check_frame(tokenizer, theirs, lines, None, max_length)
        check_frame(tokenizer, theirs, lines, pairs, max_length)


def test_special_ids_are_those_of_hugging_face(folder, reference):
    tokenizer = load_tokenizer(folder)
    start, end = reference.bos_token_id, reference.eos_token_id
    if reference.cls_token_id is not None:
        start, end = reference.cls_token_id, reference.sep_token_id
    if "marian" in folder.name:
        start = reference.pad_token_id
    assert (tokenizer.start_id, tokenizer.end_id) == (start, end)
    assert tokenizer.pad_id == reference.pad_token_id
    assert tokenizer.mask_id in (None, reference.mask_token_id)
    assert tokenizer.unknown_id in (None, reference.unk_token_id)


def test_special_tokens_in_text_are_text(folder):
    tokenizer = load_tokenizer(folder)
    special = {*tokenizer.special_ids} - {tokenizer.unknown_id}
    if folder.name == "gemma":
        special -= {tokenizer.mask_id}  # a symbol that its model keeps whole
    [ids] = tokenizer.encode([SPECIAL])
    assert len(ids) > 10 and not special & {*ids.tolist()}


def test_tokenizer_json_gives_the_same_ids(folder, reference, texts, tmp_path):
    if "marian" in folder.name:
        pytest.skip("Marian has no tokenizer.json")
    reference.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert next(iter(tokenizer.files)) == "tokenizer.json"
    texts = texts[::10] + HARD
    assert framed(tokenizer, texts) == [reference(line).input_ids for line in texts]
    before = load_tokenizer(folder)
    for name in ("vocabulary", "special_ids", "prefix_ids", "suffix_ids", "lossless", "lowercase"):
        assert getattr(tokenizer, name) == getattr(before, name), name


def test_what_is_saved_loads_in_transformers(folder, texts, tmp_path):
    tokenizer = load_tokenizer(folder)
    save_tokenizer(tokenizer, tmp_path)
    model = json.loads((folder / "config.json").read_text()) if folder.name != "bert_cased" else {}
    write(tmp_path, config__json=model)  # as a checkpoint's folder has it
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    texts = texts[::10] + texts[-len(HARD) + 3 :]
    assert framed(tokenizer, texts) == [theirs(line).input_ids for line in texts]
    (tmp_path / "config.json").unlink()
    assert framed(load_tokenizer(tmp_path), texts) == framed(tokenizer, texts)


def test_a_language_is_one_token(lines, tmp_path):
    marian(tmp_path / "marian", lines)
    tokenizer = load_tokenizer(tmp_path / "marian")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "marian")
    texts = [">>fra<< Hello", ">>xxx<< Hello", "a >>fra<< b", " >>fra<< b", ">>fra<<>>fra<<", ">>"]
    assert framed(tokenizer, texts) == [theirs(text).input_ids for text in texts]
    assert tokenizer.vocabulary[tokenizer.encode(texts)[0][0]] == ">>fra<<"


def test_what_is_to_be_decoded_is_encoded_by_the_target_model(lines, tmp_path):
    marian(tmp_path / "marian", lines)
    tokenizer = load_tokenizer(tmp_path / "marian")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "marian")
    ids = [row.tolist() for row in tokenizer.encode_target(lines[:50])]
    expected = [theirs(text_target=line).input_ids[:-1] for line in lines[:50]]
    assert ids == expected
    assert ids != [row.tolist() for row in tokenizer.encode(lines[:50])]


def test_a_space_before_the_text_counts(lines, tmp_path):
    """As in SentencePiece. The class for Llama in transformers 5 drops it."""
    llama(tmp_path / "llama", lines[:500])
    model = sentencepiece.SentencePieceProcessor(
        model_file=str(tmp_path / "llama" / "tokenizer.model")
    )
    tokenizer = load_tokenizer(tmp_path / "llama")
    texts = [" a", "  b c", "▁d"]
    assert [row.tolist() for row in tokenizer.encode(texts)] == model.encode(texts)
    assert tokenizer.decode(tokenizer.encode(texts[:2])) == texts[:2]


def own_tokenizer(kind, lines, lowercase, folder):
    """One that was trained here, of about 1,000 tokens."""
    if kind == "bert":
        word_piece(folder, lines, lowercase)
        return load_vocabulary(folder / "vocab.txt")
    size = {"whitespace": None, "character": None, "wordpiece": 400}.get(kind, 1000)
    return train_tokenizer(kind, lines, size, lowercase=lowercase, mask=True)


def with_bytes(kind, lines, lowercase):
    """As runs have it whose text is not normalised: all that is unknown is written in bytes."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        vocab_size=900,
        model_type="bpe" if kind == "sentencepiece_bpe" else "unigram",
        normalization_rule_name="identity",
        byte_fallback=True,
        remove_extra_whitespaces=False,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    return KINDS[kind](kind, False, out.getvalue())


def check_saved(tokenizer, lines, folder):
    """What is saved gives the same ids and texts in transformers, and here."""
    save_tokenizer(tokenizer, folder)
    write(folder, config__json={"model_type": "bert"})
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    loaded = load_tokenizer(folder)
    ours = [row.tolist() for row in tokenizer.encode(lines)]
    assert ours == [theirs(line, add_special_tokens=False).input_ids for line in lines]
    assert ours == [row.tolist() for row in loaded.encode(lines)]
    for pairs in (None, lines[20:40]):
        framed = [row.tolist() for row in tokenizer.frame(lines[:20], pairs)]
        assert framed == theirs(lines[:20], pairs).input_ids
        assert framed == [row.tolist() for row in loaded.frame(lines[:20], pairs)]
    text = tokenizer.decode(ours)
    assert text == loaded.decode(ours)
    known = [i for i, row in enumerate(ours) if tokenizer.unknown_id not in row]
    assert len(known) > 500
    theirs_decoded = [theirs.decode(ours[i], skip_special_tokens=True) for i in known]
    assert [text[i] for i in known] == theirs_decoded
    names = ("pad_id", "unknown_id", "start_id", "end_id", "mask_id", "special_ids", "vocabulary")
    assert loaded.lossless >= tokenizer.lossless
    for name in (*names, "lowercase", "decoder_start_id"):
        if (name, tokenizer.kind) != ("decoder_start_id", "bert"):
            assert getattr(loaded, name) == getattr(tokenizer, name), name
    assert theirs.pad_token_id == tokenizer.pad_id and theirs.mask_token_id == tokenizer.mask_id
    [written], [expected] = loaded.encode([SPECIAL]), tokenizer.encode([SPECIAL])
    assert written.tolist() == expected.tolist()


@pytest.mark.parametrize("lowercase", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_own_tokenizers_load_in_transformers(kind, lowercase, lines, tmp_path):
    tokenizer = own_tokenizer(kind, lines[:1000], lowercase, tmp_path)
    assert tokenizer.kind == kind and tokenizer.lowercase == lowercase
    lines = [line.replace("…", "") for line in lines]
    if kind.startswith("sentencepiece"):
        lines = [line.replace("\0", "") for line in lines]
    check_saved(tokenizer, lines, tmp_path)


@pytest.mark.parametrize("kind", ["sentencepiece", "sentencepiece_bpe"])
def test_own_models_with_bytes_load_in_transformers(kind, lines, tmp_path):
    tokenizer = with_bytes(kind, [line for line in lines[:1000] if line], False)
    check_saved(tokenizer, [line.replace("\0", "") for line in lines], tmp_path)


def test_words_that_are_written_as_special_tokens(tmp_path):
    tokenizer = train_tokenizer("whitespace", ["a <mask> <s> b <mask>_"], mask=True)
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path)
    texts = ["<mask>", "<s> a", "b</s> </s>\t<mask>_", "x<mask> <mask>x"]
    ids = [row.tolist() for row in tokenizer.encode(texts)]
    assert ids == [row.tolist() for row in loaded.encode(texts)]
    assert not {0, 2, 3, 4} & {i for row in ids for i in row}


def test_quotation_marks_in_pairs(tmp_path):
    words = ["say", "yes", "no", "3", '"', ".", "(", ")", ",", "'", "-", "##s", "“", "”"]
    tokens = ["[PAD]", "[UNK]", "[START]", "[END]", *words]
    tokenizer = KINDS["wordpiece"]("wordpiece", False, tokens)
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path)
    rows = np.random.default_rng(0).integers(4, len(tokens), (2000, 12)).tolist()
    rows = [row for row in rows if tokens[row[0]] != "##s"]
    assert loaded.decode(rows) == tokenizer.decode(rows)


def test_a_model_of_fairseq_that_is_of_neither_is_refused(lines, tmp_path):
    """Others keep their ids in files of this name, too."""
    pieces(tmp_path / "sentencepiece.bpe.model", lines[:500])
    write(tmp_path, tokenizer_config__json={"tokenizer_class": "MBartTokenizer"})
    with pytest.raises(TextError, match=r"expected it to be of a XLM.* Received: MBartTokenizer"):
        load_tokenizer(tmp_path)
