"""From a published folder to a model of ours, and back."""

import contextlib
import dataclasses
import functools
import re

import keras
import numpy as np

from keras_transformer import models
from keras_transformer.zoo import checkpoint
from keras_transformer.zoo.bart import Bart
from keras_transformer.zoo.bert import Bert
from keras_transformer.zoo.checkpoint import Checkpoint, ZooError, find
from keras_transformer.zoo.distilbert import DistilBert
from keras_transformer.zoo.family import check_type
from keras_transformer.zoo.gemma import Gemma
from keras_transformer.zoo.gpt2 import Gpt2
from keras_transformer.zoo.llama import Llama
from keras_transformer.zoo.marian import Marian
from keras_transformer.zoo.mistral import Mistral
from keras_transformer.zoo.notes import labels_of, remember
from keras_transformer.zoo.qwen2 import Qwen2
from keras_transformer.zoo.roberta import Camembert, Roberta, XlmRoberta

# In the order in which a model without the name of a family is tried.
FAMILIES = {
    family.model_type: family()
    for family in (
        *(Bert, DistilBert, Roberta, XlmRoberta, Camembert),
        *(Gpt2, Llama, Mistral, Qwen2, Gemma),
        *(Marian, Bart),
    )
}
CLASSIFIERS = {"classifier": models.sequence_classifier, "tokens": models.token_classifier}
ROUNDING = 4e-3  # what of a table of sinusoids bfloat16 may cut


def load(path_or_id, dtype=None):
    """Makes a model of this package's layers with published weights.

    Args:
        path_or_id: folder as `transformers` writes it, or one on the Hugging Face hub: its id, or a
            short name of `presets`.
        dtype: Keras' dtype policy of the model, such as `"bfloat16"` or `"mixed_bfloat16"`. None
            means the global one; whatever the file has is converted.

    Returns:
        A Functional `keras.Model` of the folder's architecture: `models.encoder_only`,
        `masked_language_model`, `sequence_classifier`, `token_classifier`, `question_answerer`,
        `decoder_only` or `encoder_decoder`, named after its model type. A decoder's folder that has
        neither a tied table nor a matrix for logits gives its states, `(B, T, D)`. What the folder
        says of classes and generation stays with the model, for `save`.

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
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    found = Checkpoint(find(path_or_id))
    with _naming(found.folder):
        family = _family(found.settings)
        config = family.to_config(found.settings)
        head = family.head(found.settings, family.full_names(found.names))
        changes = {"initializer_range": 0.0}
        if head.kind == "encoder":  # whose pooler may be left out
            pooler = family.names.get("pooled_output", "") + ".weight"
            changes["pooler"] = pooler in family.full_names(found.names)
        config = dataclasses.replace(config, **changes)
        model = _build(config, head, found.settings, policy)
        _restore(model, config, found, family, head, head.may_lack)
        remember(model, found, family)
    return model


def load_config(path_or_id, **changes):
    """The `TransformerConfig` of a published folder, with `changes` to single fields.

    Raises:
        ZooError: for an unknown model type, and for settings that our layers do not have.
    """
    folder = find(path_or_id)
    settings = checkpoint.read_json(folder / checkpoint.CONFIG)
    with _naming(folder):
        return dataclasses.replace(_family(settings).to_config(settings), **changes)


def model_type(path_or_id):
    """The name of a published folder's family, such as `"bert"`.

    Raises:
        ZooError: as `load_config`.
    """
    folder = find(path_or_id)
    with _naming(folder):
        return _family(checkpoint.read_json(folder / checkpoint.CONFIG)).model_type


def kind_of(path_or_id):
    """`(kind of head, architecture)` of a published folder.

    Raises:
        ZooError: as `load`.
    """
    found = Checkpoint(find(path_or_id))
    with _naming(found.folder):
        family = _family(found.settings)
        head = family.head(found.settings, family.full_names(found.names))
        return head.kind, family.architecture(found.settings)


def has_encoder(path_or_id):
    """Whether a published folder's family has encoders alone, which any of its heads is on.

    Raises:
        ZooError: as `load`.
    """
    folder = find(path_or_id)
    with _naming(folder):
        family = _family(checkpoint.read_json(folder / checkpoint.CONFIG))
    return any(head.kind == "encoder" for head in family.heads.values())


def count_parameters(path_or_id):
    """How many parameters a published folder holds; its weights are not read.

    What repeats another tensor counts once, and what can be computed, such as sinusoids, does not.

    Raises:
        ZooError: as `load`.
    """
    found = Checkpoint(find(path_or_id))
    with _naming(found.folder):
        family = _family(found.settings)
        config = family.to_config(found.settings)
        files = family.full_names(found.names)
        tied = config.tie_embeddings and family.is_tied(found.settings)
        repeated = family.repeated(tied)
        for name, other in repeated.items():
            if name in files:
                files.setdefault(other, files.pop(name))
        unused = {n for n in files if re.search(family.unused, n)} - set(repeated.values())
        return sum(
            found.size(file)
            for name, file in files.items()
            if name not in unused and family.computed(name, config) is None
        )


def load_weights(model, path_or_id):
    """Gives a model that `keras_transformer.models` made the weights of a published folder.

    Args:
        model: of the folder's config; it may have another head, such as a new classifier's.
        path_or_id: as of `load`.

    What the folder says of generation stays with the model, for `save`, and the names of its
    classes if the model is a classifier with all of the folder's weights.

    Returns:
        The paths of the weights of the model's head that the folder does not have: they keep their
        values.

    Raises:
        ZooError: as `load`; the model then has its old weights.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig.preset(
    ...     "bert_tiny", num_layers=1, hidden_dim=8, intermediate_dim=16, vocabulary_size=9)
    >>> folder = tempfile.mkdtemp()
    >>> kt.zoo.save(kt.models.encoder_only(config), folder)
    >>> classifier = kt.models.sequence_classifier(kt.zoo.load_config(folder), num_classes=3)
    >>> kt.zoo.load_weights(classifier, folder)
    ['logits/kernel', 'logits/bias']
    """
    found = Checkpoint(find(path_or_id))
    with _naming(found.folder):
        family = _family(found.settings)
        _, head = architecture_of(family, model)
        theirs = family.head(found.settings, family.full_names(found.names))
        own = {*head.names, "pooled_output"}
        may_lack = [path for path in weights_of(model) if path.rpartition("/")[0] in own]
        if {head.kind, theirs.kind} == {"classifier", "tokens"}:  # classes of other things
            names = {ours: name for ours, name in head.names.items() if ours != "logits"}
            head = head._replace(names=names)
        missing = _restore(model, models.config_of(model), found, family, head, may_lack)
        remember(model, found, family, same_classes=head.kind == theirs.kind and not missing)
        return missing


@contextlib.contextmanager
def _naming(folder):
    """Says in which folder settings were found that cannot be, and that tensors do not fit."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ZooError(f"{folder}: {error}") from None


def _family(settings):
    kind = settings.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ZooError(f"expected a model_type among {', '.join(FAMILIES)}. Received: {kind!r}")
    if settings.get("quantization_config"):
        raise ZooError("expected weights that are not quantized. Received: a quantization_config")
    return FAMILIES[kind]


def architecture_of(family, model):
    """`(architecture, head)` of the family for a model of ours."""
    layers = {layer.name for layer in model.layers}
    kinds = {  # each by a layer that no later one has
        "memory": "seq2seq",
        "decoder_block_0": "decoder" if "logits" in layers else "hidden",
        "next_sentence": "pairs",
        "masked_lm_head": "masked",
        "answer_logits": "answers",
        "token_dropout": "tokens",
        "logits": "classifier",
    }
    kind = next((kind for layer, kind in kinds.items() if layer in layers), "encoder")
    for architecture, head in family.heads.items():
        if head.kind == kind:
            return architecture, head
    kinds = dict.fromkeys(head.kind for head in family.heads.values() if head.kind != "hidden")
    raise ZooError(f"expected a model of kind {' or '.join(kinds)}. Received: {kind}")


def _build(config, head, settings, dtype):
    """The model, its weights zeros."""
    if head.kind in CLASSIFIERS:
        for name, default in (("id2label", {}), ("num_labels", 2)):
            if settings.get(name) is not None:
                check_type(name, settings[name], default)
        model = CLASSIFIERS[head.kind](config, len(labels_of(settings)), dtype=dtype)
    elif head.kind in ("masked", "pairs"):
        next_sentence = head.kind == "pairs"
        model = models.masked_language_model(config, next_sentence, dtype=dtype)
    else:
        build = {
            "encoder": models.encoder_only,
            "answers": models.question_answerer,
            "decoder": models.decoder_only,
            "hidden": functools.partial(models.decoder_only, logits=False),
            "seq2seq": models.encoder_decoder,
        }[head.kind]
        model = build(config, dtype=dtype)
    model.name = settings["model_type"]
    return model


def _restore(model, config, found, family, head, may_lack):
    """Assigns what the folder has, once all of it fits; the paths of what it does not have."""
    files = family.full_names(found.names)  # name: name in the file
    tied = config.tie_embeddings and family.is_tied(found.settings)
    for name, other in family.repeated(tied).items():
        if name in files:
            file = files.pop(name)
            if not np.array_equal(found.read(file), found.read(files.setdefault(other, file))):
                raise ZooError(f"expected {file} to have the values of {files[other]}")
    for name, file in files.items():
        table = family.computed(name, config)
        if table is not None:
            found.check(file, table.shape)
            if not np.abs(found.read(file) - table).max() <= ROUNDING:  # nor NaN
                raise ZooError(f"expected {file} to be sinusoids. Received: another table")
    plan, missing, lacking = [], [], []
    for path, weight in weights_of(model).items():
        shape = tuple(weight.shape)
        tensor = family.tensor(path, shape, config, head)
        absent = [path] if tensor is None else [n for n in tensor.all_names() if n not in files]
        if absent:
            missing.append(path)
            lacking += [] if path in may_lack else absent
            continue
        for name, expected in tensor.shapes(shape).items():
            found.check(files[name], expected)
        plan.append((weight, tensor))
    if lacking:
        raise ZooError(f"tensors are missing: {_some(lacking)}")
    used = {name for _, tensor in plan for name in tensor.all_names()}
    if left := sorted(
        file for name, file in files.items() if not (name in used or family.is_known(name, head))
    ):
        raise ZooError(f"tensors that no such {family.model_type} has: {_some(left)}")
    for weight, tensor in plan:
        weight.assign(tensor.read(lambda name: found.read(files[name])))
    return missing


def weights_of(model):
    """Weights by path; what dropout draws from is none, and LoRA's are parts of kernels."""
    return {w.path: w for w in model.weights if not re.search(r"seed|/lora_kernel_[ab]$", w.path)}


def _some(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
