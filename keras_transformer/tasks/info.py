"""What a folder holds, without loading its model."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_transformer.tasks.loading import is_run, load_tokenizer
from keras_transformer.text import Tokenizer
from keras_transformer.training.checkpoint_files import newest_checkpoint, read_position
from keras_transformer.training.json_files import read_dictionary
from keras_transformer.training.run import Run
from keras_transformer.zoo.checkpoint import find
from keras_transformer.zoo.inspection import count_parameters, kind_of, load_config
from keras_transformer.zoo.tokenizers import load_tokenizer as load_published_tokenizer


def info(path: str | Path, revision: str | None = None) -> dict[str, Any]:
    """Says what a run folder or a published folder holds.

    Args:
        path: A run's folder, a published folder as `transformers` writes it, a Hugging Face id
            (which is downloaded, if it was not before), or a short name of `zoo.presets`.
        revision: Branch, tag or commit of a Hugging Face id.

    Returns:
        A dictionary that JSON can hold: `folder`; `recipe` of a run, or `architecture` and `head`
        of a published model; `finished` of a run; `parameters`, None for an unfinished run;
        `tokenizer`, its `kind` and `vocabulary_size`, or None where there is none; `config`, the
        fields of the `TransformerConfig`; of a run `scores`, its `metrics.json`, and `progress`:
        the whole `epochs`, the `batches` after them, the `updates` and `seconds` of its last
        checkpoint, and `epochs_wanted`.

    Raises:
        ValueError: No such folder, or one that is not whole.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig.preset(
    ...     "gpt2_small", num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> folder = tempfile.mkdtemp()
    >>> kt.zoo.save(kt.models.decoder_only(config), folder)
    >>> found = info(folder)
    >>> found["architecture"], found["parameters"], found["config"]["num_layers"]
    ('GPT2LMHeadModel', 410864, 1)
    """
    folder = find(path, revision)
    return info_of_run(folder) if is_run(folder) else info_of_published(folder)


def info_of_run(folder: Path) -> dict[str, Any]:
    """As `info`, of a run's folder."""
    run = Run.open(folder)
    run.check_whole()
    settings, scores = run.settings, run.metrics
    finished = run.model_file.is_file()
    parameters = scores.pop("parameters", None)
    if finished and parameters is None:
        parameters = run.load_model().count_params()
    return {
        "folder": str(folder),
        "recipe": settings.get("recipe"),
        "finished": finished,
        "parameters": parameters,
        "tokenizer": info_of_tokenizer(load_tokenizer(folder)),
        "config": read_dictionary(run.config_file),
        "scores": scores,
        "progress": info_of_progress(run, settings),
    }


def info_of_progress(run: Run, settings: dict[str, Any]) -> dict[str, Any]:
    """How far training has come, as its last checkpoint says."""
    newest = newest_checkpoint(run)
    position = dataclasses.asdict(read_position(newest)) if newest else {"epoch": 0}
    return {
        "epochs": position.pop("epoch"),
        "epochs_wanted": settings.get("epochs"),
        **position,
    }


def info_of_published(folder: Path) -> dict[str, Any]:
    """As `info`, of a published folder."""
    head, architecture = kind_of(folder)
    try:
        tokenizer = info_of_tokenizer(load_published_tokenizer(folder))
    except ValueError:  # the model is one without it
        tokenizer = None
    return {
        "folder": str(folder),
        "architecture": architecture,
        "head": head,
        "parameters": count_parameters(folder),
        "tokenizer": tokenizer,
        "config": dataclasses.asdict(load_config(folder)),
    }


def info_of_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """What is said of a tokenizer."""
    return {"kind": tokenizer.kind, "vocabulary_size": tokenizer.vocabulary_size}
