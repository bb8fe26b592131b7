"""What all recipes do the same way to begin with a published model: --from-zoo and --lora."""

from keras_transformer import zoo
from keras_transformer.training.lora import enable_lora
from keras_transformer.training.recipe import flag_of
from keras_transformer.zoo.checkpoint import CONFIG, find, read_json


def check_zoo(settings, families, length=None):
    """Refuses a --from-zoo that the recipe cannot go on with.

    Args:
        settings: The settings.
        families: The model types that the recipe trains.
        length: Name of the setting that the model's longest sequence bounds, if any.

    Raises:
        ValueError: another model type, too long sequences, or as `zoo.load_config`.
    """
    if not settings.from_zoo:
        return
    config, kind = zoo.load_config(settings.from_zoo), family_of(settings)
    if kind not in families:
        raise ValueError(
            f"{settings.from_zoo}: expected a model of type {' or '.join(families)}. "
            f"Received: {kind}"
        )
    most = config.max_sequence_length
    if length and getattr(settings, length) > most:
        raise ValueError(
            f"Expected {flag_of(length)} up to the {most:,} tokens that {settings.from_zoo} reads. "
            f"Received: {getattr(settings, length)}"
        )


def family_of(settings):
    """The model type of --from-zoo."""
    return read_json(find(settings.from_zoo) / CONFIG)["model_type"]


def zoo_tokenizer(settings, *roles):
    """The tokenizer of --from-zoo.

    Args:
        settings: The settings.
        roles: The special tokens that the recipe needs, such as `"pad"`.

    Raises:
        ValueError: One of them is not there, or as `zoo.load_tokenizer`.
    """
    tokenizer = zoo.load_tokenizer(settings.from_zoo)
    missing = [role for role in roles if getattr(tokenizer, f"{role}_id") is None]
    if missing:
        raise ValueError(
            f"{settings.from_zoo}: expected a tokenizer with special tokens for {', '.join(roles)}."
            f" Received: one without {', '.join(missing)}"
        )
    return tokenizer


def zoo_config(settings, tokenizer, **changes):
    """The `TransformerConfig` of --from-zoo, with its --dropout and other changes.

    Raises:
        ValueError: The tokenizer has other padding or more tokens than the model, or as
            `zoo.load_config`.
    """
    if settings.dropout is not None:
        changes["dropout"] = settings.dropout
    config = zoo.load_config(settings.from_zoo, **changes)
    size, pad_id = tokenizer.vocabulary_size, tokenizer.pad_id
    if size > config.vocabulary_size or config.pad_id not in (None, pad_id):
        raise ValueError(
            f"{settings.from_zoo}: expected a tokenizer of up to {config.vocabulary_size:,} tokens "
            f"and with padding {config.pad_id}, as the model has. Received: {size:,} tokens, "
            f"padding {pad_id}"
        )
    return config


def load_zoo(settings, model):
    """Gives a model the weights of --from-zoo, if asked for, and the changes of --lora."""
    if settings.from_zoo:
        missing = zoo.load_weights(model, settings.from_zoo)
        model.name = family_of(settings)  # by which it goes back
        begin_from(settings, model, settings.from_zoo, {path.split("/")[0] for path in missing})


def begin_from(settings, model, source, new):
    """Says which layers are new, beside those with the weights of `source`; adds --lora to these.

    Args:
        settings: The settings.
        model: Built Keras model.
        source: What to call where its weights are from.
        new: Names of layers.
    """
    count = sum(bool(layer.weights) for layer in model.layers) - len(new)
    print(f"weights: {count} layers from {source}, new: {', '.join(sorted(new)) or 'none'}")
    if settings.lora:
        trainable, total = enable_lora(model, settings.lora, new)
        print(f"LoRA: {trainable:,} of {total:,} parameters learn")
