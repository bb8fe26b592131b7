"""One peer's training steps on random sentence pairs, as one line of JSON.

    python benchmarks/train_step.py PEER SIZE PRECISION [STEPS]

A step is forward, backward and Adam on one batch of sources and targets with half to all of their
positions filled. Source and target tokens both count, padding does not; the time is the median of
the steps after three of warm-up.
"""

import sys

import numpy as np
import work


def make_batch(size):
    """Sources, target inputs and labels, each `(batch, length)`, and how many tokens they hold."""
    rng = np.random.default_rng(0)
    source, target = work.random_ids(rng, size), work.random_ids(rng, size, extra=1)
    lengths = rng.integers(size.length // 2, size.length + 1, size.batch)[:, None]
    source[np.arange(size.length) >= lengths] = work.PAD
    target[np.arange(size.length + 1) > lengths] = work.PAD
    inputs, labels = target[:, :-1], target[:, 1:]
    return source, inputs, labels, int((source != work.PAD).sum() + (labels != work.PAD).sum())


def keras_seconds(peer, size, precision, batch, steps):
    """`(seconds a step, model)` of a model trained by `fit`."""
    keras = work.use_keras(peer, work.training_policy(precision))
    model = work.our_translator(size) if peer.startswith("ours") else kerashub(keras, size)
    source, inputs, labels = batch
    weight = (labels != work.PAD).astype("float32")
    return work.fit_seconds(keras, peer, model, [source, inputs], labels, weight, steps), model


def kerashub(keras, size):
    """KerasHub's public blocks, composed as its documentation does."""
    from keras_hub import layers

    def embed(ids):
        return layers.TokenAndPositionEmbedding(
            size.vocabulary_size, work.MAX_LENGTH, size.hidden_dim, mask_zero=True
        )(ids)

    source, target = (keras.Input((None,), dtype="int32") for _ in range(2))
    block = {"intermediate_dim": size.intermediate_dim, "num_heads": size.num_heads, "dropout": 0.1}
    memory, x = embed(source), embed(target)
    for _ in range(size.num_layers):
        memory = layers.TransformerEncoder(**block)(memory)
    for _ in range(size.num_layers):
        x = layers.TransformerDecoder(**block)(x, memory)
    return keras.Model([source, target], keras.layers.Dense(size.vocabulary_size)(x))


def torch_seconds(peer, size, precision, batch, steps):
    """`(seconds a step, model)` of a plain PyTorch loop."""
    torch = work.use_torch()
    source, inputs, labels = (torch.tensor(x).long() for x in batch)
    model, forward = (hf if peer == "hf" else nn_transformer)(torch, size)
    crossentropy = torch.nn.CrossEntropyLoss(ignore_index=work.PAD)

    def compute_loss():
        logits = forward(source, inputs)
        return crossentropy(logits.flatten(0, 1).float(), labels.flatten())

    return work.loop_seconds(torch, model, compute_loss, precision, steps), model


def hf(torch, size):
    model = work.marian(size)

    def forward(source, target):
        real = (source != work.PAD).long()
        return model(source, real, decoder_input_ids=target, use_cache=False).logits

    return model, forward


def nn_transformer(torch, size):
    """`torch.nn.Transformer` between embeddings and a linear layer."""
    nn, width = torch.nn, size.hidden_dim
    layers, heads = size.num_layers, size.num_heads
    model = nn.ModuleDict(
        {
            "source": nn.Embedding(size.vocabulary_size, width, work.PAD),
            "target": nn.Embedding(size.vocabulary_size, width, work.PAD),
            "source_position": nn.Embedding(work.MAX_LENGTH, width),
            "target_position": nn.Embedding(work.MAX_LENGTH, width),
            "transformer": nn.Transformer(
                width, heads, layers, layers, size.intermediate_dim, 0.1, batch_first=True
            ),
            "logits": nn.Linear(width, size.vocabulary_size),
        }
    )
    position = torch.arange(size.length)
    future = torch.ones(size.length, size.length, dtype=torch.bool).triu(1)

    def forward(source, target):
        padding = source == work.PAD
        x = model["transformer"](
            model["source"](source) + model["source_position"](position),
            model["target"](target) + model["target_position"](position),
            tgt_mask=future,
            tgt_is_causal=True,
            src_key_padding_mask=padding,
            memory_key_padding_mask=padding,
            tgt_key_padding_mask=target == work.PAD,
        )
        return model["logits"](x)

    return model, forward


def measure(peer, size, precision, steps=12):
    *batch, tokens = make_batch(work.SIZES[size])
    run = torch_seconds if peer in ("torch", "hf") else keras_seconds
    seconds, model = run(peer, work.SIZES[size], precision, batch, steps)
    return {"tokens_per_second": tokens / seconds, "parameters": work.count_parameters(model)}


if __name__ == "__main__":
    work.report(measure(*sys.argv[1:4], *map(int, sys.argv[4:])))
