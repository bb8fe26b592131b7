"""The graph of a model's forward pass."""

from typing import Any

import keras

from keras_transformer.backend.dispatch import Operation


@Operation
def forward_graph(model: keras.Model) -> Any:
    """The `tf.Graph` of a model's forward pass, for TensorBoard; None on other backends."""
    return None


@forward_graph.on("tensorflow")
def traced(model: keras.Model) -> Any:
    import tensorflow as tf

    specs = [tf.TensorSpec(x.shape, x.dtype, x.name) for x in model.inputs]
    forward = tf.function(lambda inputs: model(inputs, training=False))
    inputs = keras.tree.pack_sequence_as(model.input, specs)
    return forward.get_concrete_function(inputs).graph
