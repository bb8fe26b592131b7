"""What `tf.vectorized_map` asks of those who write a layer."""

import keras


def in_vectorized_map():
    """Whether `tf.vectorized_map` is to run what is traced now for all rows at once.

    No shape may then differ from row to row. Names tell: it traces in a scope of its own.
    """
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        if "loop_body" in graph.get_name_scope():
            return True
        graph = getattr(graph, "outer_graph", None)  # of a function, where it is called
    return False
