"""Folders that somebody made to do harm: each is refused in one sentence, and nothing happens.

Nothing: what they hold is not run (it would leave a file), and takes no memory.
"""

import gzip
import io
import json
import marshal
import os
import pickle
import re
import stat
import struct
import zipfile
from pathlib import Path

import h5py
import keras
import pytest
import tokenizers

import keras_transformer as kt
from keras_transformer.backend.limited_weights import limited_weights
from keras_transformer.model_files import load_model, save_model
from keras_transformer.reading import check_inside
from keras_transformer.text import load_tokenizer
from keras_transformer.text.patterns import QUOTES, check_pattern

SOME_MEMORY = 300e6  # bytes, of which Python itself takes some for JSON of the largest size
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16}
BILLIONS = 2_000_000_000


def resident(field):
    """`VmRSS` or `VmHWM` of this process on Linux, in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{field}:\s+(\d+)", text)[1])


@pytest.fixture(autouse=True)
def nothing_happens(tmp_path, monkeypatch):
    """No attack runs anything, or takes memory."""
    monkeypatch.chdir(tmp_path)  # where what is run would leave its mark
    monkeypatch.syspath_prepend(tmp_path)
    can_measure = os.access("/proc/self/clear_refs", os.W_OK)
    if can_measure:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what there is now
        before = resident("VmRSS")
    yield
    assert not (tmp_path / "canary").exists()
    if can_measure:
        assert resident("VmHWM") - before < SOME_MEMORY


def refuse(load, path, *parts):
    """One sentence that names the file and has these parts."""
    with pytest.raises(ValueError) as caught:
        load(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and len(message) < 900, message
    for part in ("xpected", "Received", *parts):
        assert part in message or (part in ("xpected", "Received") and "not a " in message), message


# `.keras` files.


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The members of a good file."""
    path = tmp_path_factory.mktemp("good") / "model.keras"
    config = kt.TransformerConfig(vocabulary_size=9, max_sequence_length=8, **SIZES)
    save_model(kt.models.decoder_only(config), path)
    load_model(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(members, **more):
    """An archive, of `{name or ZipInfo: bytes}`."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", **more) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def of_layer(good, layer):
    """A good file whose second layer is another."""
    config = json.loads(good["config.json"])
    config["config"]["layers"][1] |= layer
    return pack({**good, "config.json": json.dumps(config)})


def changed(good, change):
    """A good file, after a function changed its config."""
    config = json.loads(good["config.json"])
    change(config["config"]["layers"])
    return pack({**good, "config.json": json.dumps(config)})


def of_weights(good, write):
    """A good file with the weights that a function writes."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        write(file)
    return pack({**good, "model.weights.h5": out.getvalue()})


CODE = marshal.dumps(compile("open('canary', 'w')", "", "exec"))
LAMBDA = {"class_name": "__lambda__", "config": {"code": CODE.hex(), "defaults": None}}
STRANGERS = {
    "a process": {"module": "subprocess", "class_name": "Popen", "config": {"args": "ls"}},
    "a function": {"module": "posix", "class_name": "function", "config": "system"},
    "a built-in": {"module": "builtins", "class_name": "eval", "config": "open('canary', 'w')"},
    "a built-in function": {"module": "builtins", "class_name": "function", "config": "eval"},
    "a module": {"module": "evil", "class_name": "Layer", "config": {}},
    "its own name": {"module": "evil", "class_name": "Layer", "registered_name": "Evil>Layer"},
    "a download": {"module": "keras.utils", "class_name": "get_file", "config": {}},
    "another file": {"module": "keras.saving", "class_name": "load_model", "config": {}},
    "code": {"module": "keras.layers", "class_name": "Lambda", "config": {"function": LAMBDA}},
    "code by another path": {"module": "keras", "class_name": "layers.Lambda", "config": {}},
    "code in its own place": {
        "module": "keras.src.layers.core.lambda_layer",
        "class_name": "Lambda",
        "config": {"function": LAMBDA},
    },
    "code as a value": LAMBDA,
    "a SavedModel": {
        "module": "keras.layers",
        "class_name": "TFSMLayer",
        "config": {"filepath": "/tmp"},
    },
    "a pickle": {
        "module": "keras.layers",
        "class_name": "TorchModuleWrapper",
        "config": {"module": ""},
    },
    "no name": {"module": "keras.layers", "class_name": 3, "config": {}},
}


@pytest.mark.parametrize("layer", STRANGERS.values(), ids=STRANGERS)
def test_a_class_that_is_not_known(layer, good, tmp_path):
    (tmp_path / "evil.py").write_text("open('canary', 'w')")
    path = tmp_path / "model.keras"
    layer = {"config": {}, "registered_name": None, **layer}
    for data in (
        of_layer(good, layer),
        changed(good, lambda layers: layers[1]["config"].update(activation=layer)),
    ):
        path.write_bytes(data)
        refuse(load_model, path, "expected classes of Keras, of this package or registered")


@keras.saving.register_keras_serializable("test_untrusted")
class Mine(keras.layers.Layer):
    """One that its user registered."""


def test_a_class_that_its_user_registered(tmp_path):
    save_model(keras.Sequential([keras.Input((2,)), Mine()]), tmp_path / "model.keras")
    assert load_model(tmp_path / "model.keras").layers[0].__class__ is Mine


class Scoped(keras.layers.Layer):
    """One that is known in a scope."""


def test_a_class_of_a_scope(tmp_path):
    save_model(keras.Sequential([keras.Input((2,)), Scoped()]), tmp_path / "model.keras")
    refuse(load_model, tmp_path / "model.keras", "register_keras_serializable")
    with keras.saving.custom_object_scope({"Scoped": Scoped}):
        load_model(tmp_path / "model.keras")


def embed(layers, **config):
    next(x for x in layers if "Embedding" in x["class_name"])["config"] |= config


def widen(layers):
    block = next(layer for layer in layers if layer["class_name"] == "DecoderBlock")
    block["config"]["intermediate_dim"] = BILLIONS


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda layers: embed(layers, vocabulary_size=BILLIONS), ["numbers that the file holds"]),
        (lambda layers: embed(layers, hidden_dim=BILLIONS), ["numbers that the file holds"]),
        (widen, ["numbers that the file holds"]),
        (lambda layers: layers.extend([{}] * 10**6), ["20,000 layers at most"]),
    ],
    ids=["tokens", "wide", "a wide block", "a million layers"],
)
def test_more_weights_than_the_file_has(change, parts, good, tmp_path):
    (tmp_path / "model.keras").write_bytes(changed(good, change))
    refuse(load_model, tmp_path / "model.keras", *parts)


def test_more_layers_than_the_file_has_weights():
    with (
        pytest.raises(ValueError, match="layers with the 3 weights that the file holds"),
        limited_weights([1, 1, 1]),
    ):
        for _ in range(10**6):
            keras.layers.Dense(1).build((None, 1))
    keras.layers.Dense(1).build((None, 1))  # outside there is no limit


def member(name, **fields):
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def without(good, name):
    return {other: data for other, data in good.items() if other != name}


def overlapping(good):
    """Many members that are the same bytes."""
    data = bytearray(pack(good | {f"assets/{i}": b"" for i in range(50)}))
    place = data.rindex(b"PK\x01\x02model.weights.h5"[:4])
    directory = struct.unpack("<I", data[-6:-2])[0]
    places, place = [], directory
    while data[place : place + 4] == b"PK\x01\x02":
        places.append(place)
        place += 46 + sum(struct.unpack("<3H", data[place + 28 : place + 34]))
    weights = next(p for p in places if data[p + 46 :].startswith(b"model.weights"))
    for p in places[3:]:
        data[p + 16 : p + 28] = data[weights + 16 : weights + 28]
        data[p + 42 : p + 46] = data[weights + 42 : weights + 46]
    return bytes(data)


def encrypted(good):
    data = bytearray(pack(good))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


NO_OTHERS = "expected config.json, model.weights.h5, metadata.json and no others"
ARCHIVES = {
    "a bomb": (lambda good: pack(good, compression=zipfile.ZIP_DEFLATED), "not compressed"),
    "gigabytes": (
        lambda good: pack({**good, "assets/a": bytes(10**8)}, compression=zipfile.ZIP_DEFLATED),
        "not compressed",
    ),
    "members in each other": (overlapping, "members of "),
    "an absolute path": (lambda good: pack({**good, "/tmp/canary": b""}), NO_OTHERS),
    "a path out": (lambda good: pack({**good, "../canary": b""}), NO_OTHERS),
    "a path out of the assets": (
        lambda good: pack({**good, "assets/../../canary": b""}),
        NO_OTHERS,
    ),
    "a link": (
        lambda good: pack(
            {**good, member("assets/link", external_attr=(stat.S_IFLNK | 0o777) << 16): b"/etc"}
        ),
        "which is no file",
    ),
    "a program": (lambda good: pack({**good, "evil.py": b"open('canary', 'w')"}), NO_OTHERS),
    "arrays that may be pickles": (
        lambda good: pack({**without(good, "model.weights.h5"), "model.weights.npz": b""}),
        NO_OTHERS,
    ),
    "two configs": (
        lambda good: pack({**good, member("config.json"): good["config.json"]}),
        "expected one config.json",
    ),
    "no config": (lambda good: pack(without(good, "config.json")), "one config.json"),
    "no weights": (lambda good: pack(without(good, "model.weights.h5")), "one model.weights.h5"),
    "a password": (encrypted, "not compressed"),
    "a long config": (
        lambda good: pack({**good, "config.json": b" " * 2**25 + b"{}"}),
        "expected config.json of 33,554,432 bytes",
    ),
    "brackets": (lambda good: pack({**good, "config.json": b"[" * 10**6}), "expected JSON"),
    "a list": (lambda good: pack({**good, "config.json": b"[]"}), "expected a model's config"),
    "no JSON": (lambda good: pack({**good, "config.json": b"\xff"}), "expected JSON"),
    "no layers": (lambda good: pack({**good, "config.json": b"{}"}), "that Keras can load"),
    "no archive": (lambda good: b"not a zip", "a damaged one"),
    "nothing": (lambda good: b"", "a damaged one"),
    "a part": (lambda good: pack(good)[:-1000], "a damaged one"),
    "a flipped bit": (lambda good: pack(good).replace(b"HDF", b"HDG", 1), "a damaged one"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("make", "part"), ARCHIVES.values(), ids=ARCHIVES)
def test_an_archive_of_something_else(make, part, good, tmp_path):
    (tmp_path / "model.keras").write_bytes(make(good))
    refuse(load_model, tmp_path / "model.keras", part)


def test_no_file(tmp_path):
    refuse(load_model, tmp_path / "model.keras", "no such file")


def external(file):
    file["layers"] = h5py.ExternalLink("/etc/passwd", "/")


def soft(file):
    file["layers"] = h5py.SoftLink("/elsewhere")


def stored_elsewhere(file):
    file.create_dataset("a", (4,), "uint8", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "uint8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "a", (4,))
    file.create_virtual_dataset("a", layout)


def compressed(file):
    file.create_dataset("a", (BILLIONS,), "float32", compression="gzip")


def unwritten(file):
    file.create_dataset("a", (BILLIONS,), "float32")


def references(file):
    file.create_dataset("a", (1,), h5py.ref_dtype)


def strings(file):
    file["a"] = ["open('canary', 'w')"]


def circle(file):
    file["layers/again"] = file.create_group("layers")


@pytest.mark.parametrize(
    ("write", "part"),
    [
        (external, "no links"),
        (soft, "no links"),
        (stored_elsewhere, "arrays in the file"),
        (virtual, "arrays in the file"),
        (compressed, "not compressed"),
        (unwritten, "a of 8,000,000,000"),
        (references, "arrays of numbers"),
        (strings, "arrays of numbers"),
        (circle, "each array once"),
        (lambda file: None, "that Keras can load"),
    ],
)
def test_weights_that_are_not_in_the_file(write, part, good, tmp_path):
    (tmp_path / "model.keras").write_bytes(of_weights(good, write))
    refuse(load_model, tmp_path / "model.keras", part)


# Published folders.


@pytest.fixture(scope="module")
def made():
    config = kt.TransformerConfig.preset("gpt2_small", vocabulary_size=300, **SIZES)
    return kt.models.decoder_only(config), kt.text.train_tokenizer("bpe", ["a dog runs"], 265)


@pytest.fixture
def published(made, tmp_path):
    """A folder that is to be changed."""
    kt.zoo.save(made[0], tmp_path / "published", made[1])
    (tmp_path / "published" / "digests.json").unlink()
    return tmp_path / "published"


def says(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"vocab_size": BILLIONS}, "vocabulary_size up to "),
        ({"n_layer": 10**6}, "num_layers to be up to 10,000"),
        ({"n_layer": 9_000}, "num_layers up to 1"),
        ({"n_positions": BILLIONS}, "max_sequence_length up to "),
        ({"n_embd": BILLIONS}, "hidden_dim up to "),
        ({"n_inner": BILLIONS}, "intermediate_dim up to "),
        ({"n_embd": 10**6, "vocab_size": 10**6}, "numbers that the file holds"),
    ],
)
def test_a_config_of_more_than_there_is(settings, part, published):
    says(published / "config.json", **settings)
    refuse(kt.zoo.load, published, part)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_link_out_of_the_folder(name, published, tmp_path):
    (published / name).rename(tmp_path / name)
    (published / name).symlink_to(tmp_path / name)
    load = kt.zoo.load_tokenizer if name == "tokenizer.json" else kt.zoo.load
    refuse(load, published, f"{name}: expected a file of the folder. Received: a path to ")


def test_links_of_the_cache_of_the_hub_and_of_the_folder(published, tmp_path):
    blobs = tmp_path / "models--a--b" / "blobs"
    blobs.mkdir(parents=True)
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for path in published.iterdir():
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    kt.zoo.load(snapshot)
    kt.zoo.load_tokenizer(snapshot)
    (snapshot / "config.json").rename(snapshot / "other.json")
    (snapshot / "config.json").symlink_to("other.json")
    kt.zoo.load(snapshot)
    check_inside(snapshot / "config.json")


def large(path):
    with open(path, "wb") as file:
        file.truncate(BILLIONS)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json"])
@pytest.mark.parametrize(
    ("write", "part"),
    [
        (large, "bytes. Received: 2,000,000,000"),
        (pipe, "expected a file. Received: something else"),
        (lambda path: path.write_text('{"a":' * 10**5), "expected JSON"),
    ],
    ids=["large", "pipe", "deep"],
)
def test_a_file_that_is_none(write, part, name, published):
    (published / name).touch()
    write(published / name)
    if name == "tokenizer.json" and write is pipe:
        part = "a tokenizer's files"  # as if there were none
    refuse(kt.zoo.load_tokenizer if name == "tokenizer.json" else kt.zoo.load, published, part)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "a/../../b", ""])
def test_an_index_that_leads_out(name, published):
    (published / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refuse(kt.zoo.load, published, "from tensors to files of the folder")


class Evil:
    """Leaves its mark where it is unpickled."""

    def __reduce__(self):
        return open, ("canary", "w")


def test_a_pickle(published):
    (published / "model.safetensors").unlink()
    (published / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(
        ValueError, match=r"A pytorch_model.bin is not read, as it can run any code"
    ):
        kt.zoo.load(published)


def test_code_that_comes_along(published):
    (published / "modeling_evil.py").write_text("open('canary', 'w')")
    code = {"auto_map": {"AutoModelForCausalLM": "modeling_evil.Evil"}, "trust_remote_code": True}
    says(published / "config.json", **code)
    template = "{{ cycler.__init__.__globals__.os.system('touch canary') }}"
    auto_map = {"AutoTokenizer": ["modeling_evil.Evil", None]}
    says(published / "tokenizer_config.json", chat_template=template, auto_map=auto_map)
    (published / "chat_template.jinja").write_text(template)
    kt.tasks.TextGenerator.load(published)


@pytest.mark.parametrize("path", ["..", "../../..", "/etc", 3, ["a"]])
def test_modules_that_lead_out(path, published):
    names = {"Transformer": "", "Pooling": path}
    modules = [{"type": f"sentence_transformers.models.{n}", "path": p} for n, p in names.items()]
    (published / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match=r"xpected (a file of the folder|paths of folders)"):
        kt.tasks.TextEmbedder.load(published)


# Tokenizers.

HANG = [
    "(a+)+b",
    "(a|a)*b",
    "(?:a|aa)+$",
    "((a*)*)*b",
    "a**",
    "(a?){40}a{40}",
    "a?" * 40 + "a" * 40,
    "(a|a)" * 40 + "b",
    "a*a*a*a*a*b",
    "a{1,4}+",
    "(a{0,9}){0,9}b",
    "((a{1000}){1000}){1000}",
    r"(a*)\1*b",
    r"(?<n>a|b\g<n>c)*",
    "(?x)a #(\n)+",
    "(?~a)*",
    r"(a+\c()+\c)",
    r"[\c](a+)+b]",
    "[[:" + "a" * 30 + ":](a+)+b]",
    "a{1,0}" + "(a|a)" * 40 + "b",
    "(a",
    "a)",
    "[a",
    "a" * 10**6,
]
# GPT-2, Llama 3, GPT-4o, Mistral's Tekken, Bloom, DeepSeek, SmolLM3, and what is written here.
PUBLISHED = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+",
    r"[^\r\n\p{L}\p{N}]?((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+|\p{N}|\s+",
    r" ?[^(\s|[.,!?…。，、।۔،])]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+",
    r"\d{1,3}(?=(?:\d{3})*\b)",
    r" {2,}",
    QUOTES,
]


@pytest.mark.parametrize("pattern", HANG, ids=range(len(HANG)))
def test_an_expression_that_takes_for_ever(pattern, published, tmp_path):
    found = json.loads((published / "tokenizer.json").read_text())
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    found["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [split | {"invert": False}, found["pre_tokenizer"]],
    }
    (published / "tokenizer.json").write_text(json.dumps(found))
    refuse(kt.zoo.load_tokenizer, published, "an expression ")
    kt.text.train_tokenizer("bpe", ["a"], 260).save(tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "tokenizer.json").read_text())
    (tmp_path / "run" / "byte_pair.json").write_text(json.dumps(found))
    del settings["sha256"]
    (tmp_path / "run" / "tokenizer.json").write_text(json.dumps(settings))
    refuse(load_tokenizer, tmp_path / "run", "an expression ")


@pytest.mark.parametrize("pattern", PUBLISHED, ids=range(len(PUBLISHED)))
def test_expressions_that_are_published(pattern):
    check_pattern(pattern)
    tokenizers.Regex(pattern)


def test_replacements_that_grow(published):
    double = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
    steps = {"type": "Sequence", "normalizers": [double] * 40}
    says(published / "tokenizer.json", normalizer=steps)
    refuse(kt.zoo.load_tokenizer, published, "1,000,000 characters of one")


def test_padding_without_end(published):
    padding = {"strategy": {"Fixed": BILLIONS}, "direction": "Right", "pad_to_multiple_of": None}
    padding |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "<pad>"}
    says(published / "tokenizer.json", padding=padding)
    assert len(kt.zoo.load_tokenizer(published).encode(["a dog"])[0]) < 9


def test_special_tokens_of_no_vocabulary(published):
    special = {"<s>": {"id": "<s>", "ids": [BILLIONS], "tokens": ["<s>"]}}
    parts = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    template = {"type": "TemplateProcessing", "single": parts, "pair": parts}
    template["pair"] = [*parts, {"Sequence": {"id": "B", "type_id": 1}}]
    says(published / "tokenizer.json", post_processor=template | {"special_tokens": special})
    refuse(
        kt.zoo.load_tokenizer,
        published,
        "special tokens that the vocabulary has",
        f"ids {BILLIONS}",
    )


def pieces(folder):
    from keras_transformer.text import train_tokenizer

    data = train_tokenizer("sentencepiece", ["a dog runs"] * 9).file_bytes()
    (folder / "tokenizer.model").write_bytes(data)


def word_pieces(folder):
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")


def byte_pairs(folder):
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    tokens = ["<|endoftext|>", *sorted(alphabet)]
    says_ids(folder, {token: i for i, token in enumerate(tokens)})
    (folder / "merges.txt").write_text("#version: 0.2\n")


def says_ids(folder, ids):
    (folder / "vocab.json").write_text(json.dumps(ids))


ADDED = {"content": "<new>", "special": True}
VOCABULARIES = {
    "an id of billions": (
        byte_pairs,
        lambda folder: says(folder / "vocab.json", a=BILLIONS),
        "the ids from 0 to",
    ),
    "an added id of billions": (
        pieces,
        lambda folder: (folder / "added_tokens.json").write_text(json.dumps({"<new>": BILLIONS})),
        "ids from 0 on",
    ),
    "an added id of billions in the settings": (
        pieces,
        lambda folder: (folder / "tokenizer_config.json").write_text(
            json.dumps({"added_tokens_decoder": {str(BILLIONS): ADDED}})
        ),
        "ids from 0 on",
    ),
    "an archive": (
        word_pieces,
        lambda folder: (folder / "vocab.txt").write_bytes(gzip.compress(bytes(10**8))),
        "expected ",
    ),
    "control characters": (
        word_pieces,
        lambda folder: (folder / "vocab.txt").write_bytes(b"[PAD]\x0b[UNK]\n"),
        "line 1: expected no control characters",
    ),
    "a token twice": (
        word_pieces,
        lambda folder: (folder / "vocab.txt").write_text("[PAD]\na\na\n"),
        "line 3: expected another token than in line 2",
    ),
    "a name twice": (
        byte_pairs,
        lambda folder: (folder / "vocab.json").write_text('{"a": 0, "a": 1}'),
        "'a' 2 times in one object",
    ),
    "an id twice": (
        byte_pairs,
        lambda folder: says_ids(folder, {"a": 0, "b": 0}),
        "2 tokens without 1",
    ),
    "a model without its end": (
        pieces,
        lambda folder: (folder / "tokenizer.model").write_bytes(b"\n\x07\n\x05<unk>"),
        "one without its trainer_spec",
    ),
    "a model with more": (
        pieces,
        lambda folder: (folder / "tokenizer.model").write_bytes(
            (folder / "tokenizer.model").read_bytes() + b"\xfa\x01\x00"
        ),
        "expected a SentencePiece model",
    ),
}


@pytest.mark.parametrize(("make", "change", "part"), VOCABULARIES.values(), ids=VOCABULARIES)
def test_a_vocabulary_of_something_else(make, change, part, tmp_path):
    make(tmp_path)
    kt.zoo.load_tokenizer(tmp_path)
    change(tmp_path)
    refuse(kt.zoo.load_tokenizer, tmp_path, part)


# Folders of runs.


@pytest.mark.parametrize("name", ["tokenizer.json", "byte_pair.json"])
def test_a_link_out_of_a_run(name, made, tmp_path):
    made[1].save(tmp_path / "run")
    (tmp_path / "run" / name).rename(tmp_path / name)
    (tmp_path / "run" / name).symlink_to(tmp_path / name)
    refuse(load_tokenizer, tmp_path / "run", "expected a file of the folder")


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"kind": "../../evil"}, ""),
        ({"kind": 3}, "kind, a str"),
        ({"lowercase": "yes"}, "lowercase, a bool"),
        ({"sha256": "0" * 64}, "as it was written"),
        ({"file": "/etc/passwd"}, "'file'"),
    ],
)
def test_a_runs_tokenizer_of_something_else(settings, part, made, tmp_path):
    made[1].save(tmp_path)
    says(tmp_path / "tokenizer.json", **settings)
    refuse(load_tokenizer, tmp_path, part)
