"""From a published folder to a model of ours."""

import dataclasses
from pathlib import Path

import keras

from keras_transformer import models
from keras_transformer.backend.limited_weights import limited_weights
from keras_transformer.types import DType
from keras_transformer.zoo.checkpoint import PublishedFolder, find, refused_in
from keras_transformer.zoo.families import family_of
from keras_transformer.zoo.heads import build, kind_of_model
from keras_transformer.zoo.notes import remember
from keras_transformer.zoo.weights import check_size, restore, weights_of


def load(path_or_id: str | Path, dtype: DType | None = None) -> keras.Model:
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
    if dtype is not None:  # one that is none is no fault of the folder
        dtype = keras.dtype_policies.get(dtype)
    found = PublishedFolder(find(path_or_id))
    with refused_in(found.folder):
        family = family_of(found.settings)
        names = family.full_names(found.names)
        head = family.head(found.settings, names)
        # Zeros: nothing is drawn, and what the folder may lack stays zeros.
        config = dataclasses.replace(family.to_config(found.settings), initializer_range=0.0)
        if head.kind == "encoder":  # whose pooler may be left out
            pooler = family.names.get("pooled_output", "") + ".weight"
            config = dataclasses.replace(config, pooler=pooler in names)
        check_size(config, found)
        with limited_weights(found.sizes()):
            model = build(config, head.kind, found.settings, dtype)
        model.name = family.model_type
        restore(model, config, found, family, head, head.may_lack)
    remember(model, found, family)
    return model


def load_weights(model: keras.Model, path_or_id: str | Path) -> list[str]:
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
    found = PublishedFolder(find(path_or_id))
    with refused_in(found.folder):
        family = family_of(found.settings)
        config = models.config_of(model)
        head = family.heads[family.architecture_of(kind_of_model(model))]
        theirs = family.head(found.settings, family.full_names(found.names))
        own = {*head.names, "pooled_output"}
        may_lack = [path for path in weights_of(model) if path.rpartition("/")[0] in own]
        if {head.kind, theirs.kind} == {"classifier", "tokens"}:  # classes of other things
            names = {ours: name for ours, name in head.names.items() if ours != "logits"}
            head = head._replace(names=names)
        missing = restore(model, config, found, family, head, may_lack)
    remember(model, found, family, same_classes=head.kind == theirs.kind and not missing)
    return missing
