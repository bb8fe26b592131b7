"""What `tf.vectorized_map` asks of those who write a layer."""

from keras_transformer.backend.dispatch import Operation


@Operation
def in_vectorized_map() -> bool:
    """Whether `tf.vectorized_map` is to run what is traced now for all rows at once.

    No shape may then differ from row to row.
    """
    return False


@in_vectorized_map.on("tensorflow")
def in_vectorized_map_by_name() -> bool:
    """It traces in a scope of its own, whose name tells."""
    import tensorflow as tf

    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        if "loop_body" in graph.get_name_scope():
            return True
        graph = getattr(graph, "outer_graph", None)  # of a function, where it is called
    return False
