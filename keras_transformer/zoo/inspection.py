"""What a published folder holds, of which no weight is read."""

import dataclasses
import re
from pathlib import Path
from typing import Any

from keras_transformer.config import TransformerConfig
from keras_transformer.zoo.checkpoint import CONFIG, PublishedFolder, find, read_json, refused_in
from keras_transformer.zoo.families import family_of


def load_config(path_or_id: str | Path, **changes: Any) -> TransformerConfig:
    """The `TransformerConfig` of a published folder, with `changes` to single fields.

    Raises:
        ZooError: for an unknown model type, and for settings that our layers do not have.
    """
    folder = find(path_or_id)
    settings = read_json(folder / CONFIG)
    with refused_in(folder):
        return dataclasses.replace(family_of(settings).to_config(settings), **changes)


def model_type(path_or_id: str | Path) -> str:
    """The name of a published folder's family, such as `"bert"`.

    Raises:
        ZooError: as `load_config`.
    """
    return _family(path_or_id).model_type


def kind_of(path_or_id: str | Path) -> tuple[str, str]:
    """`(kind of head, architecture)` of a published folder.

    Raises:
        ZooError: as `load`.
    """
    found = PublishedFolder(find(path_or_id))
    with refused_in(found.folder):
        family = family_of(found.settings)
        head = family.head(found.settings, family.full_names(found.names))
        return head.kind, family.architecture(found.settings)


def has_encoder(path_or_id: str | Path) -> bool:
    """Whether a published folder's family has encoders alone, which any of its heads is on.

    Raises:
        ZooError: as `load`.
    """
    return any(head.kind == "encoder" for head in _family(path_or_id).heads.values())


def count_parameters(path_or_id: str | Path) -> int:
    """How many parameters a published folder holds; its weights are not read.

    What repeats another tensor counts once, and what can be computed, such as sinusoids, does not.

    Raises:
        ZooError: as `load`.
    """
    found = PublishedFolder(find(path_or_id))
    with refused_in(found.folder):
        family = family_of(found.settings)
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


def _family(path_or_id):
    folder = find(path_or_id)
    settings = read_json(folder / CONFIG)
    with refused_in(folder):
        return family_of(settings)
