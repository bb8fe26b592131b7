"""Damaged files: how many are refused, and how many read as something else without a word.

    python benchmarks/damage.py
    python benchmarks/damage.py --flips 100 --cuts 40

A flip inverts one bit of one byte at a random place, a cut leaves out what comes after one. What
then loads is the same where all weights, or vocabulary and ids of some texts, are. "With digests"
is what this package writes, or what the cache of the Hugging Face hub knows; "without" is any other
published folder. The exit status is 1 if anything with digests reads as something else, or if what
is raised is no refusal.
"""

import argparse
import collections
import functools
import io
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

TEXTS = ["The two dogs play in the snow.", "Café 3.5 — don't stop!", "a\tb  c", "naïve 漢字 tokens"]
SIZES = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
OWN = ["sentencepiece", "sentencepiece_bpe", "wordpiece", "bert", "whitespace", "character", "bpe"]


@functools.cache
def corpus():
    from keras_transformer.recipes.built_in_corpus import generate_pairs

    return [line for pair in generate_pairs(300, seed=1) for line in pair] + TEXTS * 5


# What is damaged: each function fills a folder and returns the names of the files to be damaged.


def own_tokenizer(kind, folder):
    import keras_transformer as kt

    tokenizer = kt.text.train_tokenizer(kind, corpus())
    tokenizer.save(folder)
    return ["tokenizer.json", tokenizer.file]


def train_bytes(special):
    import tokenizers

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=800, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    model.train_from_iterator(corpus(), trainer)
    return model.model


def train_pieces(**settings):
    import sentencepiece

    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=out, minloglevel=2, **settings
    )
    return out.getvalue()


def says(folder, name, **content):
    (folder / name).write_text(json.dumps(content))


def vocab_txt(folder):
    import keras_transformer as kt

    tokens = kt.text.train_tokenizer("bert", corpus(), mask=True).vocabulary
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens))
    says(folder, "config.json", model_type="bert", vocab_size=len(tokens))
    return ["vocab.txt"]


def vocab_json_and_merges(folder):
    model = train_bytes(["<|endoftext|>"])
    model.save(str(folder))
    says(folder, "config.json", model_type="gpt2", vocab_size=800)
    return ["vocab.json", "merges.txt"]


def tokenizer_json(kind, folder):
    import keras_transformer as kt
    from keras_transformer.zoo.tokenizers import save_tokenizer

    tokenizer = kt.text.train_tokenizer(kind, corpus())
    save_tokenizer(tokenizer, folder)
    (folder / "digests.json").unlink()
    says(folder, "config.json", model_type="gpt2", vocab_size=tokenizer.vocabulary_size)
    return ["tokenizer.json"]


def tokenizer_model(folder):
    settings = {"model_type": "bpe", "byte_fallback": True}
    (folder / "tokenizer.model").write_bytes(train_pieces(vocab_size=600, **settings))
    says(folder, "config.json", model_type="llama", vocab_size=600)
    return ["tokenizer.model"]


def marian(folder):
    import sentencepiece

    model = train_pieces(vocab_size=300)
    for name in ("source.spm", "target.spm"):
        (folder / name).write_bytes(model)
    model = sentencepiece.SentencePieceProcessor(model_proto=model)
    tokens = [*map(model.id_to_piece, range(300)), "<pad>"]
    says(folder, "vocab.json", **{token: i for i, token in enumerate(tokens)})
    says(folder, "config.json", model_type="marian", vocab_size=len(tokens))
    return ["source.spm", "target.spm", "vocab.json"]


PUBLISHED = {
    "vocab.txt": vocab_txt,
    "vocab.json, merges.txt": vocab_json_and_merges,
    "tokenizer.json, BPE": functools.partial(tokenizer_json, "bpe"),
    "tokenizer.json, WordPiece": functools.partial(tokenizer_json, "bert"),
    "tokenizer.json, Unigram": functools.partial(tokenizer_json, "sentencepiece"),
    "tokenizer.model": tokenizer_model,
    "*.spm, vocab.json": marian,
}


def model():
    import keras

    import keras_transformer as kt

    keras.utils.set_random_seed(1)
    config = kt.TransformerConfig.preset("gpt2_small", vocabulary_size=300, **SIZES)
    return kt.models.decoder_only(config)


def safetensors(folder):
    import keras_transformer as kt

    kt.zoo.save(model(), folder)
    return ["model.safetensors", "config.json"]


def keras_file(folder):
    from keras_transformer.model_files import save_model

    save_model(model(), folder / "model.keras")
    return ["model.keras"]


# What loads, in a form that is equal for the same.


def tokenizer_of(load, folder):
    tokenizer = load(folder)
    texts = TEXTS + corpus()
    ids = [row.tolist() for row in tokenizer.encode(texts) + tokenizer.frame(TEXTS)]
    names = ("vocabulary", "special_ids", "prefix_ids", "suffix_ids", "lowercase", "lossless")
    return [ids, tokenizer.decode(ids), *(list_of(getattr(tokenizer, name)) for name in names)]


def list_of(value):
    return list(value) if isinstance(value, tuple) else value


def model_of(load, folder):
    found = load(folder)
    weights = [[w.path, np.asarray(w.numpy()).tobytes().hex()] for w in found.weights]
    return [weights, json.dumps(found.get_config(), sort_keys=True, default=str)]


def damaged(data, rng, how):
    place = int(rng.integers(len(data)))
    if how == "cuts":
        return data[:place]
    return data[:place] + bytes([data[place] ^ 1 << int(rng.integers(8))]) + data[place + 1 :]


def outcome(read, folder, expected):
    try:
        found = read(folder)
    except (ValueError, OSError) as error:
        one_sentence = str(folder) in str(error) and "\n" not in str(error)
        return "refused" if one_sentence else f"crashed: {type(error).__name__}: {error}"[:200]
    except Exception as error:
        return f"crashed: {type(error).__name__}: {error}"[:200]
    return "the same" if found == expected else "something else"


def count(fill, read, rng, how, times, with_digests):
    """How often each outcome came."""
    from keras_transformer.digests import note_digests

    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "whole"
        folder.mkdir()
        names = fill(folder)
        if with_digests is True:
            note_digests(folder, [path.name for path in folder.iterdir()])
        if with_digests is False:
            (folder / "digests.json").unlink(missing_ok=True)
        expected = read(folder)
        for i in range(times):
            other = Path(place) / "damaged"
            shutil.copytree(folder, other)
            path = other / names[i % len(names)]
            path.write_bytes(damaged(path.read_bytes(), rng, how))
            counts[outcome(read, other, expected)] += 1
            shutil.rmtree(other)
    return counts


def subjects():
    """`(name, with digests, function that fills a folder, function that reads one)`."""
    import keras_transformer as kt
    from keras_transformer.model_files import load_model

    load_keras = functools.partial(model_of, lambda folder: load_model(folder / "model.keras"))
    yield "model.keras (has checksums)", None, keras_file, load_keras
    load_zoo = functools.partial(model_of, kt.zoo.load)
    yield "model.safetensors, config.json", True, safetensors, load_zoo
    load_own = functools.partial(tokenizer_of, kt.text.load_tokenizer)
    for kind in OWN:
        yield f"a run's {kind}", None, functools.partial(own_tokenizer, kind), load_own
    load_published = functools.partial(tokenizer_of, kt.zoo.load_tokenizer)
    for with_digests in (True, False):
        for name, fill in PUBLISHED.items():
            yield f"published {name}", with_digests, fill, load_published
    yield "model.safetensors, config.json", False, safetensors, load_zoo


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=40)
    parser.add_argument("--cuts", type=int, default=16)
    arguments = vars(parser.parse_args())
    rng = np.random.default_rng(0)
    print("| what | digests | damage | refused | the same | something else |")
    print("|---|---|---|---|---|---|")
    failed = False
    for name, with_digests, fill, read in subjects():
        for how, times in arguments.items():
            found = count(fill, read, rng, how, times, with_digests)
            shares = [f"{found[key]} of {times}" for key in ("refused", "the same")]
            shares.append(f"{found['something else']} of {times}")
            has = "no" if with_digests is False else "yes"
            print(f"| {name} | {has} | {how} | {' | '.join(shares)} |", flush=True)
            crashes = [key for key in found if key.startswith("crashed")]
            print(*crashes, sep="\n", file=sys.stderr, end="\n" if crashes else "")
            failed |= bool(crashes) or (has == "yes" and found["something else"] > 0)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
