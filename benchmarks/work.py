"""What every benchmark shares: the sizes, the peers, and how a process reports."""

import json
import os
import resource
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np


class Size(NamedTuple):
    """A model, and the batch of random ids that it works on."""

    num_layers: int
    hidden_dim: int
    intermediate_dim: int
    num_heads: int
    vocabulary_size: int
    batch: int
    length: int


class Task(NamedTuple):
    """Generation of exactly `new_tokens` a row from a prompt or source of `size.length` tokens."""

    size: Size
    new_tokens: int
    beams: int = 1
    decoder_only: bool = False


SIZES = {
    "tiny": Size(4, 128, 256, 4, 10_000, batch=128, length=32),
    "base": Size(6, 512, 2048, 8, 32_000, batch=16, length=64),
}
BERT_SIZES = {"bert-small": Size(4, 512, 2048, 8, 30_522, batch=32, length=128)}
TRANSLATION = Size(6, 512, 2048, 8, 32_000, batch=32, length=32)
GPT2 = Size(12, 768, 3072, 12, 50_257, batch=1, length=32)
GPT2_SIZES = {"gpt2-small": GPT2._replace(batch=4, length=256)}
TASKS = {
    "mt-greedy": Task(TRANSLATION, new_tokens=32),
    "mt-beam5": Task(TRANSLATION, new_tokens=32, beams=5),
    "gpt2-b1": Task(GPT2, new_tokens=96, decoder_only=True),
    "gpt2-b8": Task(GPT2._replace(batch=8), new_tokens=96, decoder_only=True),
}
PRECISIONS = ("float32", "bfloat16")
# `-tf` and `-jax` name the Keras backend, `-xla` adds that compiler; `hf` is Hugging Face
# transformers on PyTorch.
TRAINING_PEERS = ("ours-tf", "ours-jax", "kerashub-tf", "kerashub-jax", "torch", "hf")
DECODING_PEERS = (
    "ours-tf",
    "ours-jax",
    "kerashub-tf",
    "kerashub-tf-xla",
    "kerashub-jax",
    "hf",
    "ctranslate2",
)
MASKED_LM_PEERS = ("ours-tf", "kerashub-tf", "hf")
CAUSAL_LM_PEERS = ("ours-tf", "ours-jax", "kerashub-tf", "hf")

PAD, START, END, MASK = 0, 2, 3, 4  # smaller than any random id
MAX_LENGTH = 512  # rows of learned position tables
GPT2_MAX_LENGTH = 1024  # as published
WARM_UP = 3  # training steps that are not timed


def random_ids(rng, size, extra=0):
    """`(batch, length + extra)` int32 ids of tokens that are not special."""
    # Marian converted to CTranslate2 loses the last id: nobody uses it.
    shape = size.batch, size.length + extra
    return rng.integers(5, size.vocabulary_size - 1, shape).astype("int32")


def use_keras(peer, policy):
    """Imports Keras on the backend that ends the peer's name."""
    os.environ["KERAS_BACKEND"] = "jax" if peer.endswith("-jax") else "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import keras

    keras.config.set_dtype_policy(policy)
    return keras


def training_policy(precision):
    """Keras' name of weights in float32 and computation in that precision."""
    return "float32" if precision == "float32" else "mixed_bfloat16"


def use_torch():
    import torch

    torch.set_num_threads(os.cpu_count())
    return torch


def keras_sizes(size):
    """The sizes of a model by the names that KerasHub and we have for them."""
    names = "vocabulary_size", "num_layers", "num_heads", "hidden_dim", "intermediate_dim"
    return {name: getattr(size, name) for name in names}


def our_translator(size, dropout=0.1):
    import keras_transformer as kt

    return kt.models.encoder_decoder(
        kt.TransformerConfig(
            **keras_sizes(size),
            max_sequence_length=MAX_LENGTH,
            dropout=dropout,
        )
    )


def marian(size):
    """Hugging Face's encoder-decoder of that size, with random weights."""
    from transformers import MarianConfig, MarianMTModel

    config = MarianConfig(
        vocab_size=size.vocabulary_size,
        d_model=size.hidden_dim,
        encoder_layers=size.num_layers,
        decoder_layers=size.num_layers,
        encoder_attention_heads=size.num_heads,
        decoder_attention_heads=size.num_heads,
        encoder_ffn_dim=size.intermediate_dim,
        decoder_ffn_dim=size.intermediate_dim,
        max_position_embeddings=MAX_LENGTH,
        dropout=0.1,
        scale_embedding=True,
        pad_token_id=PAD,
        decoder_start_token_id=START,
        eos_token_id=END,
    )
    return MarianMTModel(config)


def our_gpt2(size):
    import keras_transformer as kt

    config = kt.TransformerConfig.preset(
        "gpt2_small",
        **keras_sizes(size),
    )
    return kt.models.decoder_only(config)


def kerashub_gpt2(size):
    """KerasHub's task, without its preprocessor, to be compiled by the caller."""
    from keras_hub import models

    backbone = models.GPT2Backbone(
        **keras_sizes(size),
        dropout=0.1,  # of attention weights too
        max_sequence_length=GPT2_MAX_LENGTH,
    )
    # Compiled on construction it gets an accuracy that `compile` without metrics does not remove.
    return models.GPT2CausalLM(backbone, preprocessor=None, compile=False)


def gpt2(size):
    """Hugging Face's GPT-2 of that size, with random weights."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=size.vocabulary_size,
        n_layer=size.num_layers,
        n_head=size.num_heads,
        n_embd=size.hidden_dim,
        n_inner=size.intermediate_dim,
        n_positions=GPT2_MAX_LENGTH,
        embd_pdrop=0.1,
        resid_pdrop=0.1,
        attn_pdrop=0.1,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPT2LMHeadModel(config)


def count_parameters(model):
    """Trainable numbers of a Keras or a PyTorch model."""
    if hasattr(model, "count_params"):
        return model.count_params()
    return sum(p.numel() for p in model.parameters())


def median_seconds(work, repeats, warm_up):
    """Median time of `work()`, after a few calls that compile and fill caches."""
    seconds = []
    for _ in range(warm_up + repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[warm_up:])


def fit_seconds(keras, peer, model, inputs, labels, weight, steps):
    """Median time of `fit`'s steps on this same batch, with the peer's own loss and Adam."""
    # No metrics: KerasHub's tasks have some by default.
    loss, adam = keras.losses.SparseCategoricalCrossentropy(from_logits=True), keras.optimizers.Adam
    if peer.startswith("ours"):
        import keras_transformer as kt

        loss, adam = kt.training.MaskedCrossentropy(pad_id=-1), kt.training.Adam
    model.compile(adam(1e-4), loss, weighted_metrics=None)
    seconds = []

    class Timer(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            self.start = time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            float(logs["loss"])  # waits for the step
            seconds.append(time.perf_counter() - self.start)

    fit = {"batch_size": len(labels), "shuffle": False, "verbose": 0, "callbacks": [Timer()]}
    inputs, labels, weight = keras.tree.map_structure(
        lambda x: np.concatenate([x] * (WARM_UP + steps)), (inputs, labels, weight)
    )
    model.fit(inputs, labels, sample_weight=weight, **fit)
    return statistics.median(seconds[WARM_UP:])


def loop_seconds(torch, model, compute_loss, precision, steps):
    """Median time of a plain PyTorch loop's steps with Adam on the batch of `compute_loss()`."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = compute_loss()
        loss.backward()
        optimizer.step()
        return loss.item()

    return median_seconds(step, steps, WARM_UP)


def report(measured):
    """Prints what a process has measured, with its peak memory, as one line of JSON."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, else KiB
    megabytes = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    print(json.dumps({**measured, "peak_mib": round(megabytes)}), flush=True)
