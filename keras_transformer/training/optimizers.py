"""The optimiser of BERT and GPT."""

import keras


def adamw(model, learning_rate, weight_decay=0.01, clip_norm=None, beta_2=0.999):
    """`keras.optimizers.AdamW` that decays matrices only: not biases, not the scales of norms.

    Args:
        model: Built Keras model.
        learning_rate: float or schedule.
        weight_decay: float, share of a weight that decays an update, times the learning rate.
        clip_norm: Largest norm of all gradients together. None or 0 means no limit.
        beta_2: float, memory of the squared gradients.

    References:
        Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization"; Devlin et al. 2019,
        "BERT", appendix A.2.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> optimizer = adamw(model, 1e-3, clip_norm=1.0)
    >>> optimizer.build(model.trainable_variables)
    >>> [optimizer._use_weight_decay(v) for v in model.trainable_variables]  # kernel, bias
    [True, False]
    """
    optimizer = keras.optimizers.AdamW(
        learning_rate, weight_decay=weight_decay, beta_2=beta_2, global_clipnorm=clip_norm or None
    )
    spared = [v for v in model.trainable_variables if len(v.shape) < 2]
    if spared:
        optimizer.exclude_from_weight_decay(var_list=spared)
    return optimizer
