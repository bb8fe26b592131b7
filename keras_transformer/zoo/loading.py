"""From a published folder to a model of ours, and back."""

import dataclasses

import keras
import numpy as np

from keras_transformer import models
from keras_transformer.zoo import checkpoint
from keras_transformer.zoo.bart import Bart
from keras_transformer.zoo.bert import Bert
from keras_transformer.zoo.checkpoint import Checkpoint, ZooError, find
from keras_transformer.zoo.distilbert import DistilBert
from keras_transformer.zoo.gemma import Gemma
from keras_transformer.zoo.gpt2 import Gpt2
from keras_transformer.zoo.llama import Llama
from keras_transformer.zoo.marian import Marian
from keras_transformer.zoo.mistral import Mistral
from keras_transformer.zoo.qwen2 import Qwen2
from keras_transformer.zoo.roberta import Roberta
from keras_transformer.zoo.tokenizers import save_tokenizer

# In the order in which a model without the name of a family is tried.
FAMILIES = {
    family.model_type: family()
    for family in (Bert, DistilBert, Roberta, Gpt2, Llama, Mistral, Qwen2, Gemma, Marian, Bart)
}


def load(path_or_id, dtype=None):
    """Makes a model of this package's layers with published weights.

    Args:
        path_or_id: folder as `transformers` writes it, or id of one on the Hugging Face hub.
        dtype: Keras' dtype policy of the model, such as `"bfloat16"` or `"mixed_bfloat16"`. None
            means the global one; whatever the file has is converted.

    Returns:
        A Functional `keras.Model` of the folder's architecture: `models.encoder_only`,
        `masked_language_model`, `sequence_classifier`, `decoder_only` or `encoder_decoder`, named
        after its model type.

    Raises:
        ZooError: for a folder that cannot be loaded as a whole: what is missing, broken, left over
            or not supported.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig.preset(
    ...     "gpt2_small", num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> folder = tempfile.mkdtemp()
    >>> kt.zoo.save(kt.models.decoder_only(config), folder)
    >>> kt.zoo.load(folder).name
    'gpt2'
    """
    found = Checkpoint(find(path_or_id))
    family, config = _family_and_config(found)
    head = family.head(found.settings, found.folder)
    names = family.full_names(found.names)
    changes = {"initializer_range": 0.0}
    if head.kind == "encoder":  # whose pooler may be left out
        changes["pooler"] = family.names.get("pooled_output", "") + ".weight" in names
    config = dataclasses.replace(config, **changes)
    if left := family.left_over(names, config):
        raise ZooError(f"{found.folder}: tensors that no {family.model_type} has: {_some(left)}")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype or before)
    try:
        model = _build(config, head, found)
    finally:
        keras.config.set_dtype_policy(before)
    missing = [path for path in _restore(model, found, family, head) if path not in head.may_lack]
    if missing:
        raise ZooError(f"{found.folder}: tensors are missing, for {_some(missing)}")
    return model


def load_config(path_or_id, **changes):
    """The `TransformerConfig` of a published folder, with `changes` to single fields.

    Raises:
        ZooError: for an unknown model type, and for settings that our layers do not have.
    """
    folder = find(path_or_id)
    settings = checkpoint.read_json(folder / checkpoint.CONFIG)
    return dataclasses.replace(_family(settings, folder).to_config(settings, folder), **changes)


def load_weights(model, path_or_id):
    """Gives a model that `keras_transformer.models` made the weights of a published folder.

    Args:
        model: of the folder's config; it may have another head, such as a new classifier's.
        path_or_id: as of `load`.

    Returns:
        The paths of the weights that keep their values, as the folder has none for them.

    Raises:
        ZooError: as `load`.
    """
    found = Checkpoint(find(path_or_id))
    family, _ = _family_and_config(found)
    missing = _restore(model, found, family, family.head(found.settings, found.folder))
    if [path for path in missing if "_block_" in path]:
        raise ZooError(f"{found.folder}: tensors are missing, for {_some(missing)}")
    return missing


def save(model, folder, tokenizer=None):
    """Writes a model as a folder that `transformers` loads, and `load` too.

    Args:
        model: of `keras_transformer.models` or `load`, fresh, fine-tuned or reloaded.
        folder: where to; made if it is missing.
        tokenizer: its `Tokenizer`, to be written too, with its ids of the special tokens.

    Raises:
        ZooError: for a model that no family can express, and a tokenizer that `transformers` has
            no equal of.
    """
    folder = checkpoint.Path(folder)
    config = models.config_of(model)
    family, architecture, settings = _family_of(model, config)
    head = family.heads[architecture]
    settings |= {
        "architectures": [architecture],
        "transformers_version": "5.0.0",
        "dtype": "float32",
    }
    if head.kind == "classifier":
        classes = range(model.output_shape[-1])
        settings["id2label"] = {str(i): f"LABEL_{i}" for i in classes}
        settings["label2id"] = {f"LABEL_{i}": i for i in classes}
    if tokenizer:
        save_tokenizer(tokenizer, folder)
        settings |= {
            "bos_token_id": tokenizer.start_id,
            "eos_token_id": tokenizer.end_id,
            "pad_token_id": tokenizer.pad_id if config.pad_id is None else config.pad_id,
        }
        if head.kind == "seq2seq":
            settings["decoder_start_token_id"] = tokenizer.start_id
    tensors = [
        (name, shape, lambda shape=shape: np.zeros(shape, "float32"))
        for name, shape in family.zeros(config, head).items()
    ]
    for path, weight in _weights(model).items():
        tensor = family.tensor(path, tuple(weight.shape), config, head)
        if tensor is None:
            raise ZooError(f"no {family.model_type} has a weight {path!r}")

        def read(name, weight=weight, tensor=tensor):
            return tensor.write(keras.ops.convert_to_numpy(weight).astype("float32"))[name]

        for name, shape in tensor.shapes(tuple(weight.shape)).items():
            bare = name.removeprefix(family.prefix) if head.kind == "encoder" else name
            tensors.append((bare, shape, lambda name=name, read=read: read(name)))
    checkpoint.write(folder, settings, tensors)


def _family_and_config(found):
    family = _family(found.settings, found.folder)
    return family, family.to_config(found.settings, found.folder)


def _family(settings, folder):
    kind = settings.get("model_type")
    if kind not in FAMILIES:
        raise ZooError(
            f"{folder}: expected a model_type among {', '.join(FAMILIES)}. Received: {kind}"
        )
    if "quantization_config" in settings:
        raise ZooError(f"{folder}: expected plain weights. Received: a quantization_config")
    return FAMILIES[kind]


def _family_of(model, config):
    """`(family, architecture, settings)`: the one it is named after, or the first that fits."""
    kind, next_sentence = _kind_of(model)
    names = [model.name] if model.name in FAMILIES else list(FAMILIES)
    for family in map(FAMILIES.get, names):
        for architecture, head in family.heads.items():
            if (head.kind, "next_sentence" in head.names) == (kind, next_sentence):
                if settings := family.to_settings(config):
                    return family, architecture, settings
                break
    raise ZooError(
        f"Expected a model that one of {', '.join(names)} has. Received: {kind} of {config}"
    )


def _build(config, head, found):
    """The model, its weights zeros."""
    if head.kind == "classifier":
        labels = found.settings.get("id2label") or {}
        model = models.sequence_classifier(config, len(labels) or 2)
    elif head.kind == "masked":
        model = models.masked_language_model(config, next_sentence="next_sentence" in head.names)
    else:
        build = {
            "encoder": models.encoder_only,
            "decoder": models.decoder_only,
            "seq2seq": models.encoder_decoder,
        }[head.kind]
        model = build(config)
    model.name = found.settings["model_type"]
    return model


def _kind_of(model):
    """`(kind, next_sentence)` of the model's head, as in `Head`."""
    names = {layer.name for layer in model.layers}
    kinds = {  # each by a layer that no earlier one has
        "memory": "seq2seq",
        "decoder_block_0": "decoder",
        "masked_lm_head": "masked",
        "logits": "classifier",
    }
    kind = next((kind for name, kind in kinds.items() if name in names), "encoder")
    return kind, "next_sentence" in names


def _weights(model):
    """Weights by path; what dropout draws from is none."""
    return {w.path: w for w in model.weights if "seed" not in w.path}


def _restore(model, found, family, head):
    """Assigns what there is, one weight at a time; the paths of what there is not."""
    names = family.full_names(found.names)
    config = models.config_of(model)
    missing = []
    for path, weight in _weights(model).items():
        shape = tuple(weight.shape)
        tensor = family.tensor(path, shape, config, head)
        if tensor is None or not names.keys() >= set(tensor.all_names()):
            missing.append(path)
            continue
        for name, expected in tensor.shapes(shape).items():
            if (received := found.shape(names[name])) != expected:
                raise ZooError(
                    f"{found.folder}: expected {names[name]} of shape {expected}. "
                    f"Received: {received}"
                )
        weight.assign(tensor.read(lambda name: found.read(names[name])))
    return missing


def _some(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
