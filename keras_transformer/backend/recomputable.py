"""Layers that may be computed again for the gradient instead of being remembered."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

from keras_transformer.backend import recomputation
from keras_transformer.backend.implicit_mask import implicit_mask, with_implicit_mask
from keras_transformer.scopes import ActivationScope, AttentionScope, CacheScope, Recomputation

KEEPING = (Recomputation, CacheScope, AttentionScope, ActivationScope)


class Recomputable(keras.layers.Layer):
    """Makes a layer under `keras.RematScope` compute the second time what it did the first.

    Keras' own layers get the tensors again that they got by position, and nothing else is as it
    was: here masks, keyword arguments, `training`, the precision and the random numbers are. A
    layer is done again as a whole, those inside it not once more by themselves; and nothing in a
    scope that keeps what is computed.
    """

    def rematerialized_call(self, layer_call: Callable, *args: Any, **kwargs: Any) -> Callable:
        if any(scope.current() for scope in KEEPING):
            return layer_call
        call = super().rematerialized_call(layer_call, *args, **kwargs)
        if call is layer_call or self._remat_mode.mode == "activations":
            return call
        return recomputed(layer_call, self)


def recomputed(layer_call: Callable, layer: keras.layers.Layer) -> Callable:
    """The `layer`'s `layer_call`, done again for the gradient."""

    @functools.wraps(layer_call)
    def call(*args, **kwargs):
        flat = tree.flatten((args, kwargs))
        places = [i for i, x in enumerate(flat) if recomputation.is_float(x)]
        if not places and not layer.trainable_variables:
            return layer_call(*args, **kwargs)
        states = layer.non_trainable_variables  # those of random numbers among them
        known = recomputation.known_values()
        ambience = recomputation.current_ambience()

        def compute(*floats):
            inputs = list(flat)
            for i, x in zip(places, floats, strict=True):
                inputs[i] = with_implicit_mask(x, implicit_mask(flat[i]))
            args_again, kwargs_again = tree.pack_sequence_as((args, kwargs), inputs)
            with (
                Recomputation(),
                recomputation.ambience(ambience),
                recomputation.values(known) as scope,
            ):
                y = layer_call(*args_again, **kwargs_again)
            now = scope.state_mapping
            changed = {
                i: now[id(state)]
                for i, state in enumerate(states)
                if now.get(id(state)) is not known.get(id(state))
            }
            return y, tree.map_structure(implicit_mask, y), changed

        y, masks, changed = recomputation.remat(compute)(*(flat[i] for i in places))
        for i, value in changed.items():
            known[id(states[i])] = ops.copy(states[i].value)  # with which it is done again
            states[i].assign(value)
        return tree.map_structure(with_implicit_mask, y, masks)

    return call
