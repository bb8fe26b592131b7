"""The task that a folder is for, whichever it is."""

from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal
from keras_transformer.tasks.loading import is_run
from keras_transformer.tasks.mask_filler import MaskFiller
from keras_transformer.tasks.task import Task
from keras_transformer.tasks.text_classifier import TextClassifier
from keras_transformer.tasks.text_embedder import TextEmbedder
from keras_transformer.tasks.text_generator import TextGenerator
from keras_transformer.tasks.translator import Translator
from keras_transformer.training.run import Run
from keras_transformer.zoo.checkpoint import ZooError, find
from keras_transformer.zoo.inspection import has_encoder, kind_of

TASKS = (Translator, TextGenerator, MaskFiller, TextClassifier, TextEmbedder)


def load_task(path: str | Path, revision: str | None = None, **settings: Any) -> Task:
    """The task of a folder, for whoever does not know which it is.

    Args:
        path: A run's folder, a published folder as `transformers` writes it, a Hugging Face id, or
            a short name of `zoo.presets`.
        revision: Branch, tag or commit of a Hugging Face id.
        **settings: Arguments of the task's class and of its `load`, such as `precision`.

    Returns:
        A `Translator`, `TextGenerator`, `MaskFiller`, `TextClassifier` or, of a published encoder
        without a head, `TextEmbedder`.

    Raises:
        ValueError: No such folder, one that is not whole, or a model that no task is for.

    Example:

    >>> import tempfile
    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("bert", ["a dog runs"] * 9, 20, mask=True)
    >>> config = kt.TransformerConfig.preset(
    ...     "bert_base", num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16,
    ...     vocabulary_size=tokenizer.vocabulary_size)
    >>> folder = tempfile.mkdtemp()
    >>> kt.zoo.save(kt.models.masked_language_model(config), folder, tokenizer)
    >>> type(load_task(folder)).__name__
    'MaskFiller'
    """
    folder = find(path, revision)
    if is_run(folder):
        recipe = Run.open(folder).settings["recipe"]
        known = [task for task in TASKS if recipe in task.recipes]
    else:
        kind, recipe = kind_of(folder)
        known = [task for task in TASKS if kind in task.kinds]
        if not known and has_encoder(folder):
            known = [TextEmbedder]
    if not known:
        names = ", ".join(task.__name__ for task in TASKS)
        raise refusal(f"a model for one of {names}", recipe, where=str(folder), error=ZooError)
    return known[0].load(folder, **settings)
