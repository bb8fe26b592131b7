"""Published tokenizers: what they share with the others, run folders, and what they refuse."""

import io
import json

import pytest
import sentencepiece
import tokenizers

from keras_transformer.text import TextError, load_published, load_tokenizer

TEXT = ["Two dogs play in the snow.", "Zwei Hunde spielen im Schnee.", "a\tb  c\n\nÉté"] * 40
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "##s", "."]
LOSSLESS = ("gpt2", "roberta", "qwen2", "json", "llama", "gemma")


def train_bpe(special=()):
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=list(special),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    model.train_from_iterator(TEXT, trainer)
    return model


def train_pieces(**settings):
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_writer=out, minloglevel=2, **settings
    )
    return out.getvalue()


def write(folder, name, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text)


def bert(folder):
    write(folder, "vocab.txt", "".join(token + "\n" for token in BERT))


def gpt2(folder):
    train_bpe(["<|endoftext|>"]).model.save(str(folder))


def roberta(folder):
    train_bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]).model.save(str(folder))
    write(folder, "config.json", {"model_type": "roberta"})


def qwen2(folder):
    train_bpe(["<|endoftext|>"]).model.save(str(folder))
    write(folder, "tokenizer_config.json", {"tokenizer_class": "Qwen2Tokenizer"})


def json_file(folder):
    model = train_bpe(["<s>", "</s>"])
    model.enable_truncation(2)
    model.enable_padding(length=9)
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s> </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    model.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    write(folder, "tokenizer_config.json", config)
    write(folder, "vocab.txt", "of no use")


LLAMA = {
    "vocab_size": 330,
    "model_type": "bpe",
    "byte_fallback": True,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
}


def llama(folder):
    (folder / "tokenizer.model").write_bytes(train_pieces(**LLAMA))
    write(folder, "added_tokens.json", {"<extra>": 330})


def gemma(folder):
    own = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "add_dummy_prefix": False}
    model = train_pieces(**LLAMA, **own, bos_piece="<bos>", eos_piece="<eos>")
    (folder / "tokenizer.model").write_bytes(model)
    write(folder, "config.json", {"model_type": "gemma"})


def marian(folder):
    model = train_pieces(vocab_size=60, model_type="bpe")
    (folder / "source.spm").write_bytes(model)
    (folder / "target.spm").write_bytes(train_pieces(vocab_size=30, model_type="char"))
    model = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokens = [model.id_to_piece(i) for i in reversed(range(60))]
    ids = {token: i for i, token in enumerate([*tokens, "<pad>", ">>fra<<"])}
    write(folder, "vocab.json", ids)


MAKERS = {
    "bert": bert,
    "gpt2": gpt2,
    "roberta": roberta,
    "qwen2": qwen2,
    "json": json_file,
    "llama": llama,
    "gemma": gemma,
    "marian": marian,
}


@pytest.fixture(params=MAKERS)
def family(request):
    return request.param


@pytest.fixture
def folder(family, tmp_path):
    folder = tmp_path / family
    folder.mkdir()
    MAKERS[family](folder)
    return folder


# Tokens of pad, unknown, start, end and mask, and those around a text.
SPECIAL = {
    "bert": (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], ["[CLS]"], ["[SEP]"]),
    "gpt2": ([None, None, "<|endoftext|>", "<|endoftext|>", None], [], []),
    "roberta": (["<pad>", "<unk>", "<s>", "</s>", "<mask>"], ["<s>"], ["</s>"]),
    "qwen2": (["<|endoftext|>", None, None, "<|endoftext|>", None], [], []),
    "json": ([None, None, "<s>", "</s>", None], ["<s>"], ["</s>", "</s>"]),
    "llama": ([None, "<unk>", "<s>", "</s>", None], ["<s>"], []),
    "gemma": (["<pad>", "<unk>", "<bos>", "<eos>", None], ["<bos>"], []),
    "marian": (["<pad>", "<unk>", "<pad>", "</s>", None], [], ["</s>"]),
}


def test_special_tokens_and_the_frame(family, folder):
    tokenizer = load_published(folder)
    name = dict(enumerate(tokenizer.vocabulary)) | {None: None}
    ids = [tokenizer.pad_id, tokenizer.unknown_id, tokenizer.start_id, tokenizer.end_id]
    tokens, prefix, suffix = SPECIAL[family]
    assert [name[i] for i in [*ids, tokenizer.mask_id]] == tokens
    assert [name[i] for i in tokenizer.prefix_ids] == prefix
    assert [name[i] for i in tokenizer.suffix_ids] == suffix
    assert {name[i] for i in tokenizer.special_ids} == {*tokens} - {None}
    assert len(tokenizer.special_ids) == len({*tokenizer.special_ids})
    [plain], [framed] = tokenizer.encode(TEXT[:1]), tokenizer.frame(TEXT[:1])
    assert [*tokenizer.prefix_ids, *plain, *tokenizer.suffix_ids] == framed.tolist()
    assert framed.dtype == plain.dtype == "int32"
    assert tokenizer.encode([]) == [] and tokenizer.encode([""])[0].tolist() == []
    assert len(tokenizer.vocabulary) == tokenizer.vocabulary_size


def test_text_comes_back(family, folder):
    tokenizer = load_published(folder)
    text = TEXT[:2] if family != "bert" else ["a dogs."]
    for ids in (tokenizer.encode(text), tokenizer.frame(text)):
        assert tokenizer.decode(ids) == text
    assert tokenizer.lossless == (family in LOSSLESS)
    assert tokenizer.lowercase == (family == "bert")
    if tokenizer.lossless:
        assert tokenizer.decode(tokenizer.encode(TEXT[2:3])) == TEXT[2:3]


def test_decode_ends_at_the_end(family, folder):
    tokenizer = load_published(folder)
    [ids] = tokenizer.encode(["a dogs."])
    assert tokenizer.decode([[*ids, tokenizer.end_id, ids[0], ids[0]]]) == ["a dogs."]
    assert tokenizer.decode([[tokenizer.end_id] * 3]) == [""]
    if tokenizer.start_id is not None:
        assert tokenizer.decode([[tokenizer.start_id, *ids, tokenizer.end_id]]) == ["a dogs."]
    if tokenizer.pad_id is not None:
        assert tokenizer.decode([[*ids, tokenizer.pad_id]]) == ["a dogs."]


def test_words_begin(family, folder):
    tokenizer = load_published(folder)
    text = "a dogs ." if family == "bert" else "Two dogs play"
    [ids] = tokenizer.encode([text])
    words = tokenizer.word_starts(ids)
    assert words.tolist().count(True) == 3 and words[0] and len(words) == len(ids)


def test_special_tokens_in_text_are_text(family, folder):
    tokenizer = load_published(folder)
    [ids] = tokenizer.encode(["".join(t for t in SPECIAL[family][0] if t)])
    assert not {*ids.tolist()} & ({*tokenizer.special_ids} - {tokenizer.unknown_id})


def test_unknown_characters_are_named(family, folder):
    tokenizer = load_published(folder)
    unknown = tokenizer.unknown("a 漢 dogs 漢")
    assert unknown == (["漢"] if family == "marian" else unknown)
    assert ("漢" in unknown) == (family in ("bert", "marian"))


def test_a_run_folder_gives_it_back(family, folder, tmp_path):
    tokenizer = load_published(folder)
    tokenizer.save(tmp_path / "run")
    loaded = load_tokenizer(tmp_path / "run")
    assert vars(loaded).keys() == vars(tokenizer).keys()
    assert loaded.kind == "published" and loaded.files == tokenizer.files
    names = ("vocabulary", "special_ids", "prefix_ids", "suffix_ids", "lossless", "lowercase")
    for name in (*names, "pad_id", "unknown_id", "start_id", "end_id", "mask_id"):
        assert getattr(loaded, name) == getattr(tokenizer, name), name
    before, after = tokenizer.frame(TEXT[:3]), loaded.frame(TEXT[:3])
    assert [row.tolist() for row in before] == [row.tolist() for row in after]


def test_special_tokens_may_have_other_names(tmp_path):
    bert(tmp_path)
    write(tmp_path, "special_tokens_map.json", {"pad_token": {"content": "."}, "sep_token": "a"})
    tokenizer = load_published(tmp_path)
    assert (tokenizer.pad_id, tokenizer.end_id, tokenizer.suffix_ids) == (8, 5, [5])


def test_added_tokens_have_their_ids(tmp_path):
    llama(tmp_path)
    tokenizer = load_published(tmp_path)
    assert tokenizer.vocabulary[330] == "<extra>" and tokenizer.vocabulary_size == 331
    [ids] = tokenizer.encode(["Two"])
    assert tokenizer.decode([[*ids, 330]]) == ["Two<extra>"]


def test_the_target_model_and_unknown_pieces(tmp_path):
    marian(tmp_path)
    tokenizer = load_published(tmp_path)
    tag, *rest = tokenizer.encode([">>fra<< Two dogs"])[0].tolist()
    assert tokenizer.vocabulary[tag] == ">>fra<<"
    assert rest == tokenizer.encode([" Two dogs"])[0].tolist()
    assert tokenizer.encode([">>deu<<"])[0].tolist() == [tokenizer.unknown_id]


def test_a_folder_without_a_tokenizer(tmp_path):
    names = (
        "tokenizer.json, source.spm, sentencepiece.bpe.model, tokenizer.model, merges.txt, "
        "vocab.txt. Received: none"
    )
    with pytest.raises(TextError, match=names):
        load_published(tmp_path)


@pytest.mark.parametrize(
    ("make", "name", "content", "message"),
    [
        (json_file, "tokenizer.json", "{", "tokenizer.json: expected JSON"),
        (json_file, "tokenizer.json", '{"model": 3}', "tokenizer.json: not a tokenizer's file"),
        (bert, "tokenizer_config.json", "{", "tokenizer_config.json: expected JSON. Received: "),
        (bert, "tokenizer_config.json", "[]", "expected a JSON object. Received: list"),
        (bert, "config.json", "{", "config.json: expected JSON"),
        (bert, "vocab.txt", "[PAD]\n[UNK]\n[CLS]\na\n", r"vocab.txt: .* without \[SEP\]$"),
        (bert, "vocab.txt", "", "vocab.txt: the file is empty"),
        (gpt2, "vocab.json", '{"a": 0}', "merges.txt, line 2: expected two tokens of vocab.json"),
        (gpt2, "merges.txt", "#version: 0.2\na b\n\n", "merges.txt, line 2: .*Received: 'a b'"),
        (gpt2, "merges.txt", "a\n", "merges.txt, line 1: expected two tokens"),
        (
            gpt2,
            "config.json",
            '{"model_type": "bart"}',
            "without <pad>, <unk>, <s>, </s>$",
        ),
        (llama, "tokenizer.model", "x", "tokenizer.model: expected a SentencePiece model"),
        (marian, "target.spm", "x", "target.spm: expected a SentencePiece model"),
        (marian, "vocab.json", '{"</s>": 0, "<pad>": 1}', "without <unk>"),
        (marian, "tokenizer_config.json", '{"separate_vocabs": true}', "one vocabulary of both"),
    ],
)
def test_broken_files_are_named(make, name, content, message, tmp_path):
    make(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(TextError, match=message) as error:
        load_published(tmp_path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["a", "a b c", ""])
def test_a_merge_is_of_two_tokens(line, tmp_path):
    gpt2(tmp_path)
    names = ["a", "b", "c", "", "b c", "ab c", "<|endoftext|>"]
    write(tmp_path, "vocab.json", {name: i for i, name in enumerate(names)})
    write(tmp_path, "merges.txt", f"{line}\n")
    with pytest.raises(TextError, match="line 1: expected two tokens"):
        load_published(tmp_path)


@pytest.mark.parametrize("name", ["source.spm", "target.spm", "vocab.json"])
def test_missing_files_are_named(name, tmp_path):
    marian(tmp_path)
    (tmp_path / name).unlink()
    missing = "expected a tokenizer's files" if name == "source.spm" else f"{name}: expected"
    with pytest.raises(TextError, match=missing):
        load_published(tmp_path)
