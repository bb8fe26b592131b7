"""Checkpoints that others trained and published: what they say here is what they say elsewhere."""

from pathlib import Path

import numpy as np
import pytest
import tiny

import keras_transformer as kt

STORIES = Path(__file__).parents[3] / "shared" / "data" / "checkpoints" / "stories260K"
LINES = [
    "A dog runs.",
    "",
    "The house is small, and the garden is large; nobody has seen either (so far).",
    "Two young, White males are outside near many bushes. " * 40,  # more than are read
    "ÀÉ ß 日本 😀",
]


def test_stories_are_told_to_the_letter():
    if not STORIES.exists():
        pytest.skip(f"the checkpoint is not there: {STORIES}")
    write = kt.zoo.load_generator(STORIES, max_new_tokens=256)
    tokenizer = kt.zoo.load_tokenizer(STORIES)
    ids = write(tokenizer.frame([""]))  # the start token
    assert ids.shape == (1, 257)
    assert tokenizer.decode(ids) == [(STORIES / "expected.txt").read_text()]


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    reason = "needs the extra `parity`: a published BERT, transformers and torch"
    package = pytest.importorskip("all_minilm_l6_v2", reason=reason)
    for name in ("transformers", "torch"):
        pytest.importorskip(name, reason=reason)
    return package.extract_model(tmp_path_factory.mktemp("minilm"))


@pytest.fixture(scope="module")
def theirs(minilm):
    """`(hidden states (B, T, D), what is real (B, T, 1), ids)` by transformers."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm)
    inputs = tokenizer(LINES, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.no_grad():
        hidden = transformers.AutoModel.from_pretrained(minilm).eval()(**inputs).last_hidden_state
    return hidden.numpy(), inputs.attention_mask.numpy()[..., None], inputs.input_ids.numpy()


def test_hidden_states_of_minilm(minilm, theirs):
    hidden, real, ids = theirs
    ids = ids.astype("int32")
    ours = tiny.numpy(kt.zoo.load(minilm)([ids, 0 * ids])[0])
    np.testing.assert_allclose(ours * real, hidden * real, rtol=0, atol=1e-5)


def test_sentence_vectors_of_minilm(minilm, theirs):
    hidden, real, ids = theirs
    embed = kt.tasks.TextEmbedder.load(minilm)
    framed = embed.tokenizer.frame(LINES, max_length=embed.max_length)
    assert embed.max_length == ids.shape[1] == 256  # of sentence_bert_config.json
    assert [row.tolist() for row in framed] == [
        row[mask[:, 0] > 0].tolist() for row, mask in zip(ids, real, strict=True)
    ]
    mean = (hidden * real).sum(axis=1) / real.sum(axis=1)
    expected = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
    np.testing.assert_allclose(embed(LINES, truncate=True), expected, rtol=0, atol=1e-6)
