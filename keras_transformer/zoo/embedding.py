"""Vectors of texts, as the folders of sentence-transformers say that they are made."""

import dataclasses
import json

import keras
import numpy as np

from keras_transformer import models
from keras_transformer.data import length_batches
from keras_transformer.generation.anatomy import learned_length
from keras_transformer.zoo.checkpoint import CONFIG, ZooError, find, read_json
from keras_transformer.zoo.loading import FAMILIES, load, load_config, load_weights, of_dtype
from keras_transformer.zoo.tokenizers import load_tokenizer

BATCH_TOKENS = 8192

# `x (B, T, D)`, where a token is, `mask (B, T, 1)`, and how many there are, `n (B, 1)`.
POOLING = {
    "cls": lambda x, mask, n: x[:, 0],
    "max": lambda x, mask, n: np.where(mask, x, -np.inf).max(axis=1),
    "mean": lambda x, mask, n: (x * mask).sum(axis=1) / n,
    "mean_sqrt_len_tokens": lambda x, mask, n: (x * mask).sum(axis=1) / np.sqrt(n),
    "weightedmean": lambda x, mask, n: (x * mask * _places(x)).sum(axis=1) / (n * (n + 1) / 2),
    "lasttoken": lambda x, mask, n: np.take_along_axis(x, n[..., None] - 1, axis=1)[:, 0],
}
_OLD_NAMES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def _places(x):
    return np.arange(1, x.shape[1] + 1)[:, None]  # (T, 1)


class Embedder:
    """Turns texts into vectors. `load_embedder` makes one of a published folder.

    Args:
        model: an encoder, or a decoder without logits, whose first output is `(B, T, D)`.
        tokenizer: its `Tokenizer`, whose `frame` it reads.
        pooling: what becomes of the tokens' vectors: `"mean"`, `"cls"` (the first), `"lasttoken"`,
            `"max"`, `"mean_sqrt_len_tokens"` (the sum over the square root of their number) or
            `"weightedmean"` (by their place, from 1), or a list of these, end to end. Special
            tokens count.
        normalize: bool, whether vectors get length 1.
        max_length: the most tokens of a text that are read, special ones included; the end of a
            longer text is cut off. None means all.
        prompt: str, what every text begins with.
        lowercase: bool, whether texts are lower-cased before all else.

    Raises:
        ValueError: for an unknown `pooling`, and no room for the special tokens.

    Example:

    >>> import keras_transformer as kt
    >>> tokenizer = kt.text.train_tokenizer("bert", ["a dog", "a cat"] * 9, 16)
    >>> config = kt.TransformerConfig.preset(
    ...     "bert_tiny", num_layers=1, hidden_dim=8, intermediate_dim=16, vocabulary_size=16)
    >>> embed = Embedder(kt.models.encoder_only(config), tokenizer, normalize=True)
    >>> embed(["a dog", "a cat and a dog"]).shape, embed("a dog").shape
    ((2, 8), (8,))
    """

    def __init__(
        self,
        model,
        tokenizer,
        pooling="mean",
        normalize=False,
        max_length=None,
        prompt="",
        lowercase=False,
    ):
        modes = [pooling] if isinstance(pooling, str) else list(pooling)
        if not modes or any(mode not in POOLING for mode in modes):
            raise ValueError(
                f"Expected pooling to be of {', '.join(map(repr, POOLING))}. Received: {pooling=}"
            )
        tokenizer.frames[0].check(max_length)
        self.model, self.tokenizer, self.pooling = model, tokenizer, modes
        self.normalize, self.max_length = normalize, max_length
        self.prompt, self.lowercase = prompt, lowercase

    def __call__(self, lines):
        """The vectors of texts.

        Args:
            lines: list of B str, or one str.

        Returns:
            `(B, D)`, or `(D,)`, float32 NumPy. A text without a token has zeros.
        """
        if isinstance(lines, str):
            return self([lines])[0]
        texts = [self.prompt + line for line in lines]
        texts = [text.lower() for text in texts] if self.lowercase else texts
        ids = self.tokenizer.frame(texts, max_length=self.max_length)
        width = self.model.outputs[0].shape[-1] * len(self.pooling)
        vectors = np.zeros((len(ids), width), "float32")  # (B, D)
        pad_id = self.tokenizer.pad_id or 0
        for rows, batch in length_batches(
            ids,
            batch_tokens=BATCH_TOKENS,
            pad_id=pad_id,
            max_length=self.max_length or learned_length(self.model._flatten_layers()),
        ):
            lengths = np.array([[len(ids[row])] for row in rows])  # (B, 1)
            real = np.flatnonzero(lengths)
            if len(real):
                states = self._states(batch)[real]  # (B, T, D)
                vectors[rows[real]] = self._pool(states, lengths[real])
        if self.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
        return vectors

    def _states(self, batch):
        more = [np.zeros_like(batch)] * (len(self.model.inputs) - 1)  # the segments
        states = self.model.predict_on_batch([batch, *more] if more else batch)
        states = states[0] if isinstance(states, list) else states  # the others are pooled
        return np.asarray(keras.ops.convert_to_numpy(states)).astype("float32")

    def _pool(self, states, lengths):
        mask = (np.arange(states.shape[1]) < lengths)[..., None]  # (B, T, 1)
        return np.concatenate([POOLING[p](states, mask, lengths) for p in self.pooling], axis=-1)


def load_embedder(path_or_id, dtype=None):
    """Loads a published folder as an `Embedder`, as sentence-transformers does.

    What its files say is read: the most tokens of a text (`sentence_bert_config.json`, or else
    `model_max_length` of the tokenizer, and no more than the model's positions), pooling and
    normalisation (`modules.json`, `1_Pooling`), and a default prompt
    (`config_sentence_transformers.json`). A folder without `modules.json` has the mean, not
    normalised.

    Args:
        path_or_id: folder or hub id, as of `load`.
        dtype: Keras' dtype policy of the model, as of `load`.

    Returns:
        An `Embedder`.

    Raises:
        ZooError: as `load`; for modules and ways of pooling that are not supported, by name; for a
            model that is no encoder and has logits.
        TextError: as `load_tokenizer`.

    Example:

    >>> import json, pathlib, tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig.preset(
    ...     "bert_tiny", num_layers=1, hidden_dim=8, intermediate_dim=16, vocabulary_size=16)
    >>> tokenizer = kt.text.train_tokenizer("bert", ["a dog", "a cat"] * 9, 16)
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> kt.zoo.save(kt.models.encoder_only(config), folder, tokenizer)
    >>> _ = (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4}))
    >>> embed = kt.zoo.load_embedder(folder)
    >>> bool((embed("a cat and a dog") == embed("a cat")).all())
    True
    """
    folder = find(path_or_id)
    place, settings = _modules(folder)
    tokenizer = load_tokenizer(place)
    model, config = _load(place, dtype)
    if config.position == "learned":
        settings["max_length"] = min(
            config.max_sequence_length, settings["max_length"] or config.max_sequence_length
        )
    try:
        return Embedder(model, tokenizer, **settings)
    except ValueError as error:
        raise ZooError(f"{folder}: {error}") from None


def _load(place, dtype):
    """`(model, config)`: whatever head the folder has, encoders have none here."""
    config = load_config(place)
    kinds = {head.kind for head in FAMILIES[read_json(place / CONFIG)["model_type"]].heads.values()}
    if "encoder" not in kinds:
        model = load(place, dtype)
        if model.outputs[0].shape[-1] != config.hidden_dim:
            raise ZooError(f"{place}: expected a model of hidden states. Received: one with logits")
        return model, config
    with of_dtype(dtype):
        model = models.encoder_only(dataclasses.replace(config, pooler=False))
    load_weights(model, place)
    return model, config


def _modules(folder):
    """`(folder of the model, arguments of an Embedder)`."""
    place, steps = folder, {"Pooling": None}
    if (folder / "modules.json").is_file():
        modules = _read_list(folder / "modules.json")
        steps = {str(module.get("type")).split(".")[-1]: module.get("path") for module in modules}
        expected = ("Transformer", "Pooling", "Normalize")
        if list(steps) not in ([*expected], [*expected[:2]]) or len(modules) != len(steps):
            raise ZooError(
                f"{folder / 'modules.json'}: expected the modules {', '.join(expected[:2])} and at "
                f"most {expected[2]}. Received: {', '.join(steps)}"
            )
        place = folder / (steps["Transformer"] or "")
    own = _read_any(place, "sentence_*config.json")
    prompts = _read_any(folder, "config_sentence_transformers.json")
    tokenizer = _read_any(place, "tokenizer_config.json")
    longest = own.get("max_seq_length") or tokenizer.get("model_max_length")
    name = prompts.get("default_prompt_name")
    settings = {
        "normalize": "Normalize" in steps,
        "max_length": longest if isinstance(longest, int) and longest < 1e9 else None,
        "prompt": "" if name is None else prompts.get("prompts", {}).get(name, ""),
        "lowercase": bool(own.get("do_lower_case")),
    }
    if steps["Pooling"] is not None:
        settings["pooling"] = _pooling(folder / steps["Pooling"] / CONFIG, settings["prompt"])
    return place, settings


def _pooling(path, prompt):
    found = read_json(path)
    if prompt and not found.get("include_prompt", True):
        raise ZooError(f"{path}: expected prompts to be pooled. Received: include_prompt=False")
    if "pooling_mode" in found:
        return found["pooling_mode"]
    return [mode for mode, name in _OLD_NAMES.items() if found.get(name)] or "mean"


def _read_any(folder, pattern):
    return next((read_json(path) for path in sorted(folder.glob(pattern))), {})


def _read_list(path):
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise ZooError(f"{path}: not JSON ({error})") from None
    if not isinstance(found, list) or not all(isinstance(module, dict) for module in found):
        raise ZooError(f"{path}: expected a list of objects")
    return found
