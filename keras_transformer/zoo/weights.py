"""The tensors of a published folder become the weights of a model."""

import re
from collections.abc import Collection

import keras
import numpy as np

from keras_transformer.checks import require, some
from keras_transformer.config import TransformerConfig
from keras_transformer.zoo.checkpoint import PublishedFolder, ZooError
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.heads import Head

ROUNDING = 4e-3  # what of a table of sinusoids bfloat16 may cut


def restore(
    model: keras.Model,
    config: TransformerConfig,
    found: PublishedFolder,
    family: Family,
    head: Head,
    may_lack: Collection[str],
) -> list[str]:
    """Assigns what the folder has, once all of it fits; the paths of what it does not have.

    Args:
        model: whose weights these are to be.
        config: of the model.
        found: the folder.
        family: of the folder.
        head: of the model.
        may_lack: paths of the weights that keep their values where the folder has none.

    Raises:
        ZooError: for tensors that are missing, left over, of another shape, or no numbers, and for
            files of other bytes than were written.
    """
    files = _distinct(config, found, family)
    plan, missing, lacking = [], [], []
    for path, weight in weights_of(model).items():
        shape = tuple(weight.shape)
        theirs = family.counterpart(path, shape, config, head)
        absent = [path] if theirs is None else [n for n in theirs.all_names() if n not in files]
        if theirs is None or absent:
            missing.append(path)
            lacking += [] if path in may_lack else absent
            continue
        for name, expected in theirs.shapes(shape).items():
            found.check(files[name], expected)
        plan.append((weight, theirs))
    used = {name for _, theirs in plan for name in theirs.all_names()}
    left = sorted(
        file for name, file in files.items() if not (name in used or family.is_known(name, head))
    )
    every = f"all tensors of such a {family.model_type}"
    require(not lacking, every, f"all but {some(lacking, 5)}", error=ZooError)
    require(not left, f"{every}, and no others", f"also {some(left, 5)}", error=ZooError)
    found.check_digests()  # last, as it reads all of every file
    for weight, theirs in plan:
        weight.assign(theirs.read(lambda name: found.read(files[name])))
    return missing


def check_size(config: TransformerConfig, found: PublishedFolder) -> None:
    """Refuses a config of more layers, or wider ones, than a folder's tensors can be of.

    So nothing is built of a `config.json` that asks for more than there is.

    Raises:
        ZooError: as the name of the setting says.
    """
    layers, numbers = len(found.names), sum(found.sizes())
    most_layers, most = layers + 100, numbers + 10**6  # of a few that are missing others speak
    learned = config.max_sequence_length if config.position == "learned" else 1
    for name, value, limit in (
        ("num_layers", config.num_layers, most_layers),
        ("num_decoder_layers", config.num_decoder_layers or 1, most_layers),
        ("vocabulary_size", config.vocabulary_size, most),
        ("max_sequence_length", learned, most),
        ("hidden_dim", config.hidden_dim, most),
        ("intermediate_dim", config.intermediate_dim, most),
        ("num_heads * key_dim", config.num_heads * config.head_dim, most),
    ):
        expected = f"{name} up to {limit:,}, as the tensors are {layers:,} of {numbers:,} numbers"
        require(value <= limit, expected, f"{value:,}", error=ZooError)


def _distinct(config, found, family):
    """`{name: name in the file}` of tensors that repeat no other, once those that do are checked.

    So are those that our layers compute.
    """
    files = family.full_names(found.names)
    tied = config.tie_embeddings and family.is_tied(found.settings)
    for name, other in family.repeated(tied).items():
        if name in files:
            file = files.pop(name)
            require(
                np.array_equal(found.read(file), found.read(files.setdefault(other, file))),
                f"{file} to have the values of {files[other]}",
                "others",
                error=ZooError,
            )
    for name, file in files.items():
        table = family.computed(name, config)
        if table is not None:
            found.check(file, table.shape)
            require(
                np.abs(found.read(file) - table).max() <= ROUNDING,  # which no NaN is
                f"{file} to be sinusoids",
                "another table",
                error=ZooError,
            )
    return files


def weights_of(model: keras.Model) -> dict[str, keras.Variable]:
    """Weights by path; what dropout draws from is none, and LoRA's are parts of kernels."""
    return {w.path: w for w in model.weights if not re.search(r"seed|/lora_kernel_[ab]$", w.path)}
