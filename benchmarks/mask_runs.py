"""Runs a model of the mask matrix as a `Setup` says: compiled or not, with a cache or without."""

import contextlib

import keras
import numpy as np
from keras import ops
from mask_models import EVERYWHERE, PAD

import keras_transformer as kt
from keras_transformer.backend.compiling import compile_for
from keras_transformer.generation.anatomy import Anatomy
from keras_transformer.generation.cache import FixedCache, SlidingCache

FIRST = 4  # tokens that are read at once before the others come one by one


class Run:
    """What comes out of a model for each token.

    Call arguments:
        ids: `(B, T)` ints, the tokens that the outputs are of.
        source: `(B, S)` ints, of an encoder-decoder.
        starts: `(B,)` ints, how much padding each row has on the left. Only a cache needs to know.
        token: int, a token whose row of the table is another one this time, or None.
        again: `(B, T)` ints, what a cache reads from the start once more when it has read `ids`,
            whose keys then are where those of later tokens will be; or None.

    Returns:
        A list of float32 arrays `(B, T, any)`: the logits, or an encoder's states, and, of each
        attention layer of theirs, the largest weight of each head where `setup.scope`.
    """

    def __init__(self, model, setup):
        self.model, self.setup = model, setup
        self.anatomy = Anatomy(model) if setup.cache else None
        self.in_model = InModel(autocast=False)
        layers = model._flatten_layers()
        self.table = next(x.embeddings for x in layers if isinstance(x, kt.PositionalEmbedding))
        seeds = [v for v in model.variables if "seed_generator" in v.path]
        self.seeds = [(v, ops.convert_to_numpy(v.value)) for v in seeds]
        self.whole = compiled(setup.how, model, self._whole)
        self.encode = compiled(setup.how, model, self._encode)
        self.steps = {}

    def __call__(self, ids, source=None, starts=None, token=None, again=None):
        keras.utils.set_random_seed(0)  # the same is dropped each time, here under PyTorch
        for variable, value in self.seeds:
            variable.assign(value)
        with self._other_row(token):
            if self.setup.cache:
                outputs = self._token_by_token(ids, source, starts, again)
            else:
                outputs = self.whole(*self._inputs(ids, source))
        outputs = [ops.convert_to_numpy(ops.cast(x, "float32")) for x in outputs]
        if self.setup.kind != "encoder-only":  # logits are tied to the rows that may be others
            outputs[0] = np.delete(outputs[0], [PAD, EVERYWHERE], axis=-1)
        return outputs

    @contextlib.contextmanager
    def _other_row(self, token):
        before = ops.convert_to_numpy(ops.cast(self.table.value, "float32"))
        if token is not None:
            after = before.copy()
            after[token] = 0.5 - before[token, ::-1]
            self.table.assign(after)
        try:
            yield
        finally:
            self.table.assign(before)

    def _inputs(self, ids, source):
        arrays = {"source_ids": source, "segment_ids": np.zeros_like(ids)}
        return [ops.convert_to_tensor(arrays.get(x.name, ids)) for x in self.model.inputs]

    def _whole(self, *inputs):
        with self._watching() as scope:
            inputs = inputs if len(inputs) > 1 else inputs[0]
            outputs = self.model(inputs, training=self.setup.training)
        first, *_ = keras.tree.flatten(outputs)
        return [first, *self._weights(scope)]

    def _watching(self):
        return kt.AttentionScope() if self.setup.scope else contextlib.nullcontext()

    def _weights(self, scope):
        """`(B, T, N)` of each attention whose queries are the tokens that the outputs are of."""
        if scope is None:
            return []
        of_output = "encoder_block" if self.setup.kind == "encoder-only" else "decoder_block"
        found = [weights for path, weights in scope.weights.items() if of_output in path]
        assert found
        return [ops.transpose(ops.max(weights, axis=-1), (0, 2, 1)) for weights in found]

    def _token_by_token(self, ids, source, starts, again):
        batch, length = ids.shape
        starts = np.zeros(batch, "int32") if starts is None else starts.astype("int32")
        starts = ops.convert_to_tensor(starts[:, None])
        memory = None, None
        if source is not None:
            source = ops.convert_to_tensor(source)
            memory = self.encode(source)
        if length not in self.steps:
            step = self._step_of(length)
            self.steps[length] = step, compiled(self.setup.how, self.model, step)
        plain, step = self.steps[length]

        def read(ids, state):
            found, index = [], 0
            for size in [FIRST] + [1] * (length - FIRST):
                chunk = ops.convert_to_tensor(ids[:, index : index + size])
                place = ops.convert_to_tensor(index, "int32")
                outputs, state = step(chunk, place, starts, source, memory, state)
                found.append(outputs)
                index += size
            return [ops.concatenate(x, axis=1) for x in zip(*found, strict=True)], state

        # An empty cache, for the programs to begin with what they will go on with.
        first = ops.convert_to_tensor(ids[:, :FIRST])
        _, state = plain(first, 0, starts, source, memory, None)
        state = {**state, "past": keras.tree.map_structure(ops.zeros_like, state["past"])}
        outputs, state = read(ids, state)
        if again is None or self.setup.window:  # of a window's the cache holds the last ones only
            return outputs
        more, _ = read(again, state)
        return [ops.concatenate(x, axis=1) for x in zip(outputs, more, strict=True)]

    def _step_of(self, length):
        def step(ids, index, starts, source, memory, state):
            def decode(ids):
                window = self.anatomy.window
                cache = (
                    FixedCache(0, length, 1, starts)
                    if window is None
                    else SlidingCache(0, length, 1, starts, window)
                )
                positions = index + ops.arange(ids.shape[1])[None] - starts
                with cache.scope(state, index, positions) as scope, self._watching() as watched:
                    logits = self.anatomy.decode(ids, source, *memory)
                return [logits, *self._weights(watched)], scope.state

            return self.in_model(ids, function=decode, training=self.setup.training)

        return step

    def _encode(self, source):
        def encode(source):
            return [x for x in self.anatomy.encode(source) if x is not None]

        return self.in_model(source, function=encode, training=self.setup.training)


class InModel(keras.layers.Layer):
    """Calls a function where layers find whether a model is in training."""

    def call(self, x, function, training=None):
        return function(x)


def compiled(how, model, function):
    """The function as it is, or as a program."""
    if how == "eager":
        return compile_for(model, function) if keras.config.backend() == "torch" else function
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        program = tf.function(function, autograph=False, jit_compile=how == "XLA")
        program._omit_frequent_tracing_warning = True  # a shape more is traced, as is meant
        return program
    return compile_for(model, function)
