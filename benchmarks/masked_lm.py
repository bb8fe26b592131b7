"""One peer's training steps of a masked language model on random text, as one line of JSON.

    python benchmarks/masked_lm.py PEER SIZE PRECISION [STEPS]

A step is forward, backward and Adam on one batch of rows with half to all of their positions
filled, 15 % of each row's tokens masked. Every real token counts, masked or not, padding does not;
the time is the median of the steps after three of warm-up.
"""

import sys

import numpy as np
import work

PREDICTIONS = 20  # places for masked tokens in a row: enough for 15 % of 128
MASKED_SHARE = 0.15
IGNORED = -100  # PyTorch's label of what is not to be guessed
# What else differs from ours. KerasHub's pooler adds parameters, but has no part in the loss.
NOTES = {
    "kerashub-tf": "unused pooler, tanh GELU",
    "hf": "logits at all positions",
}


def make_batch(size):
    """Arrays by name, and how many real tokens they hold.

    `token_ids`, `segment_ids` and `real` are `(batch, length)`; `masked_positions`, what stood
    there as `labels`, and `weight`, 0 for an unused place, are `(batch, PREDICTIONS)`.
    """
    rng = np.random.default_rng(0)
    token_ids = work.random_ids(rng, size)
    lengths = rng.integers(size.length // 2, size.length + 1, size.batch)[:, None]
    positions = np.arange(size.length)
    real = positions < lengths
    token_ids[~real] = work.PAD
    # A row's real positions in random order, then those of padding.
    order = np.argsort(np.where(real, rng.random(real.shape), 1), axis=1).astype("int32")
    masked_positions = order[:, :PREDICTIONS]
    masked = np.arange(masked_positions.shape[1]) < MASKED_SHARE * lengths
    labels = np.take_along_axis(token_ids, masked_positions, axis=1)
    token_ids[masked.nonzero()[0], masked_positions[masked]] = work.MASK
    batch = {
        "token_ids": token_ids,
        "segment_ids": (real & (positions >= lengths // 2)).astype("int32"),
        "real": real.astype("int32"),
        "masked_positions": masked_positions,
        "labels": labels,
        "weight": masked.astype("float32"),
    }
    return batch, int(real.sum())


def keras_seconds(peer, size, precision, batch, steps):
    """`(seconds a step, model)` of a model trained by `fit`."""
    keras = work.use_keras(peer, work.training_policy(precision))
    model, names = (ours if peer.startswith("ours") else kerashub)(size)
    inputs = {theirs: batch[name] for theirs, name in names.items()}
    seconds = work.fit_seconds(keras, peer, model, inputs, batch["labels"], batch["weight"], steps)
    return seconds, model


def ours(size):
    """The model, and the name in a batch of each of its inputs."""
    import keras_transformer as kt

    config = kt.TransformerConfig.preset(
        "bert_small",
        **work.keras_sizes(size),
        num_segments=2,
        pooler=False,
    )
    names = "token_ids", "segment_ids", "masked_positions"
    return kt.models.masked_language_model(config), dict(zip(names, names, strict=True))


def kerashub(size):
    """KerasHub's task, without its preprocessor: the batch is masked already."""
    from keras_hub import models

    backbone = models.BertBackbone(
        **work.keras_sizes(size),
        dropout=0.1,  # of attention weights too
        max_sequence_length=work.MAX_LENGTH,
        num_segments=2,
    )
    names = {
        "token_ids": "token_ids",
        "segment_ids": "segment_ids",
        "padding_mask": "real",
        "mask_positions": "masked_positions",
    }
    # Compiled on construction it gets an accuracy that `compile` without metrics does not remove.
    return models.BertMaskedLM(backbone, preprocessor=None, compile=False), names


def hf_seconds(peer, size, precision, batch, steps):
    """`(seconds a step, model)` of a plain PyTorch loop, as users of transformers write it."""
    torch = work.use_torch()
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=size.vocabulary_size,
        hidden_size=size.hidden_dim,
        num_hidden_layers=size.num_layers,
        num_attention_heads=size.num_heads,
        intermediate_size=size.intermediate_dim,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
        max_position_embeddings=work.MAX_LENGTH,
    )
    model = BertForMaskedLM(config)
    inputs = {
        "input_ids": batch["token_ids"],
        "token_type_ids": batch["segment_ids"],
        "attention_mask": batch["real"],
        "labels": labels_everywhere(batch),
    }
    inputs = {name: torch.tensor(x).long() for name, x in inputs.items()}
    return work.loop_seconds(torch, model, lambda: model(**inputs).loss, precision, steps), model


def labels_everywhere(batch):
    """`(batch, length)` labels, `IGNORED` where nothing is masked."""
    labels = np.full_like(batch["token_ids"], IGNORED)
    rows, places = batch["weight"].nonzero()
    labels[rows, batch["masked_positions"][rows, places]] = batch["labels"][rows, places]
    return labels


def measure(peer, size, precision, steps=12):
    batch, tokens = make_batch(work.BERT_SIZES[size])
    run = hf_seconds if peer == "hf" else keras_seconds
    seconds, model = run(peer, work.BERT_SIZES[size], precision, batch, steps)
    return {
        "tokens_per_second": tokens / seconds,
        "parameters": work.count_parameters(model),
        "note": NOTES.get(peer, ""),
    }


if __name__ == "__main__":
    work.report(measure(*sys.argv[1:4], *map(int, sys.argv[4:])))
