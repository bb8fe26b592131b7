"""Arithmetic of training, counted, and what the machine could do: model FLOPs utilisation."""

import time

from keras_transformer.config import TransformerConfig

SIZE = 2048  # of the matrices that are multiplied


def train_flops_per_token(config: TransformerConfig, length: int) -> int:
    """Floating-point operations that training needs for one token, forward and backward.

    6 for each weight of a matrix that multiplies the token, and attention's `12 L N H T`, which
    counts the whole row as seen. Tables that are only looked up, biases and norms do not count, nor
    does what a program may compute twice. Times the tokens a second and divided by the machine's
    operations a second, it is the model FLOPs utilisation, which compares programs and machines.

    Args:
        config: `TransformerConfig` of a `models.decoder_only`.
        length: int, T, tokens of a row.

    Returns:
        int.

    Reference:
        Chowdhery et al. 2022, "PaLM", appendix B.

    Example:

    >>> from keras_transformer import TransformerConfig
    >>> train_flops_per_token(TransformerConfig.preset("gpt2_small"), length=1024)
    854438400
    """
    key_value_heads = config.num_key_value_heads or config.num_heads
    heads = 2 * (config.num_heads + key_value_heads)  # query and output, key and value
    maps = 3 if config.gated else 2
    block = config.hidden_dim * (heads * config.head_dim + maps * config.intermediate_dim)
    matrices = config.num_layers * block + config.hidden_dim * config.vocabulary_size
    attention = config.num_layers * config.num_heads * config.head_dim * length
    return 6 * matrices + 12 * attention


def matmul_peak(dtype: str, seconds: float = 0.5) -> float:
    """Floating-point operations a second of TensorFlow's matrix product: the best of several tries.

    Args:
        dtype: What is multiplied, `"float32"` or `"bfloat16"` for example.
        seconds: float, how long to try, about.

    Returns:
        float.

    Example:

    >>> matmul_peak("float32", seconds=0.0) > 0
    True
    """
    import tensorflow as tf

    matrix = tf.cast(tf.random.normal((SIZE, SIZE)), dtype)
    multiply = tf.function(tf.matmul)  # a graph: some kernels are found in graphs alone
    multiply(matrix, matrix)  # traced before the clock runs
    best, count = 0.0, 1
    end = time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        began = time.perf_counter()
        for _ in range(count):
            product = multiply(matrix, matrix)
        product[0, 0].numpy()  # waits for a GPU, which has only been told what to do
        best = max(best, count * 2 * SIZE**3 / (time.perf_counter() - began))
        count *= 2  # more and more between two waits
    return best
