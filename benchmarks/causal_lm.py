"""One peer's training steps of a causal language model on random text, as one line of JSON.

    python benchmarks/causal_lm.py PEER SIZE PRECISION [STEPS]

A step is forward, backward and Adam on one batch of rows without padding. Every token that is to
be guessed counts; the time is the median of the steps after three of warm-up.
"""

import sys

import numpy as np
import work

# What else differs from ours.
NOTES = {"hf": "the last label of a row is left out"}


def make_batch(size):
    """Inputs and labels, each `(batch, length)`: a label is the token after its input."""
    token_ids = work.random_ids(np.random.default_rng(0), size, extra=1)
    return token_ids[:, :-1], token_ids[:, 1:]


def keras_seconds(peer, size, precision, batch, steps):
    """`(seconds a step, model)` of a model trained by `fit`."""
    keras = work.use_keras(peer, work.training_policy(precision))
    inputs, labels = batch
    if peer.startswith("ours"):
        model = work.our_gpt2(size)
    else:
        model = work.kerashub_gpt2(size)
        inputs = {"token_ids": inputs, "padding_mask": np.ones_like(inputs)}
    weight = np.ones(labels.shape, "float32")
    return work.fit_seconds(keras, peer, model, inputs, labels, weight, steps), model


def hf_seconds(peer, size, precision, batch, steps):
    """`(seconds a step, model)` of a plain PyTorch loop, as users of transformers write it."""
    torch = work.use_torch()
    model = work.gpt2(size)
    token_ids = torch.tensor(batch[0]).long()

    def compute_loss():
        # It moves the labels by one place itself.
        return model(token_ids, labels=token_ids, use_cache=False).loss

    return work.loop_seconds(torch, model, compute_loss, precision, steps), model


def measure(peer, size, precision, steps=12):
    batch = make_batch(work.GPT2_SIZES[size])
    run = hf_seconds if peer == "hf" else keras_seconds
    seconds, model = run(peer, work.GPT2_SIZES[size], precision, batch, steps)
    return {
        "tokens_per_second": batch[1].size / seconds,
        "parameters": work.count_parameters(model),
        "note": NOTES.get(peer, ""),
    }


if __name__ == "__main__":
    work.report(measure(*sys.argv[1:4], *map(int, sys.argv[4:])))
