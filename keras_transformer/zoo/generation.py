"""The generation settings of published folders."""

from pathlib import Path
from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.generation import (
    BeamSearch,
    ForbiddenSequence,
    ForbiddenTokens,
    ForcedTokens,
    Generator,
    MinLength,
    MinP,
    NoRepeatNgrams,
    RandomSampler,
    Renormalize,
    RepetitionPenalty,
    Temperature,
    TopK,
    TopP,
)
from keras_transformer.types import DType
from keras_transformer.zoo.checkpoint import CONFIG, GENERATION, find, read_json, refused_in
from keras_transformer.zoo.inspection import kind_of, load_config
from keras_transformer.zoo.loading import load

MAX_NEW_TOKENS = 64  # where a folder says nothing
TOP_K = 50  # what transformers samples from where a folder says nothing

# What changes the output and is not to be had here: its only value that changes nothing.
UNSUPPORTED = {
    "constraints": None,
    "diversity_penalty": 0,
    "dola_layers": None,
    "encoder_no_repeat_ngram_size": 0,
    "encoder_repetition_penalty": 1,
    "exponential_decay_length_penalty": None,
    "force_words_ids": None,
    "guidance_scale": 1,
    "max_time": None,
    "num_beam_groups": 1,
    "penalty_alpha": 0,
    "sequence_bias": None,
    "stop_strings": None,
    "token_healing": False,
    "watermarking_config": None,
}
UNSUPPORTED_IN_SAMPLING = {"epsilon_cutoff": 0, "eta_cutoff": 0, "top_h": None, "typical_p": 1}


def load_generator(path_or_id: str | Path, dtype: DType | None = None, **changes: Any) -> Generator:
    """Loads a published model as a `Generator` with the generation settings of its folder.

    They are those of `generation_config.json` or, in older folders, `config.json`: the start, end
    and padding tokens, greedy search, random sampling (`do_sample` with `temperature`, `top_k`,
    `top_p`, `min_p`) or beam search (`num_beams`, `length_penalty`, `early_stopping`),
    `num_return_sequences` for `Generator.n_best`, `repetition_penalty`, `no_repeat_ngram_size`,
    forced, suppressed and forbidden tokens, and the least and most new tokens. A decoder-only
    model's `max_length` counts the longest prompt of a batch. Where the folder says nothing there
    are 64 new tokens at most, in a context of no more than 64 as many as fit.

    Args:
        path_or_id: folder or hub id, as of `load`.
        dtype: Keras' dtype policy of the model, as of `load`.
        **changes: arguments of `Generator` in place of the folder's; `rules` replace all of its
            rules, `sampler` its search.

    Returns:
        A `Generator` of the loaded model.

    Raises:
        ZooError: as `load`; for a model that does not generate; and for a setting that changes the
            output and is not supported, which it names.

    Example:

    >>> import json, pathlib, tempfile
    >>> import keras_transformer as kt
    >>> config = kt.TransformerConfig.preset(
    ...     "gpt2_small", num_layers=1, num_heads=2, hidden_dim=8, intermediate_dim=16)
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> kt.zoo.save(kt.models.decoder_only(config), folder)
    >>> _ = (folder / "generation_config.json").write_text(json.dumps({"max_new_tokens": 3}))
    >>> kt.zoo.load_generator(folder)([[5, 7]]).shape
    (1, 5)
    """
    folder = find(path_or_id)
    settings = generation_settings(folder, **changes)
    return Generator(load(folder, dtype), **settings)


def generation_settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """The arguments of a `Generator` that a folder's settings are; see `load_generator`."""
    kind, architecture = kind_of(folder)
    config = load_config(folder)
    source = folder / (GENERATION if (folder / GENERATION).exists() else CONFIG)
    settings = {name: value for name, value in read_json(source).items() if value is not None}
    if "max_new_tokens" in changes:  # the last place of a forced end depends on it
        settings["max_new_tokens"] = changes["max_new_tokens"]
    with refused_in(source):
        without = " without logits" if kind == "hidden" else ""
        generates = kind in ("decoder", "seq2seq")
        require(generates, "a model that generates", f"{architecture}{without}")
        seq2seq = kind == "seq2seq"
        arguments = _arguments(settings, config, seq2seq) | changes
        if seq2seq and arguments["start_id"] is None:
            raise refusal("a decoder_start_token_id", "none")
    return arguments


def _arguments(settings, config, seq2seq):
    """The arguments of a `Generator`."""
    sampling = settings.get("do_sample", False)
    for name, neutral in (UNSUPPORTED | (UNSUPPORTED_IN_SAMPLING if sampling else {})).items():
        if settings.get(name, neutral) != neutral:
            _refuse(settings, name, f"{name}={neutral!r}, the only one that is supported")
    ends = settings.get("eos_token_id", [])
    ends = ends if isinstance(ends, list) else [ends]
    pad = settings.get("pad_token_id", -1)
    if pad < 0:  # means none
        pad = ends[0] if ends else 0
    start = settings.get("bos_token_id")
    max_new_tokens, context = _limits(settings, config, seq2seq)
    sampler, last_rules = _search(settings, sampling)
    return {
        "end_id": ends or None,
        "start_id": settings.get("decoder_start_token_id", start) if seq2seq else start,
        "pad_id": pad,
        "max_new_tokens": max_new_tokens,
        "context": context,
        "sampler": sampler,
        "rules": _rules(settings, seq2seq, ends, max_new_tokens) + last_rules,
    }


def _limits(settings, config, seq2seq):
    """`(max_new_tokens, context)`: either may be None."""
    table = config.max_sequence_length if config.position == "learned" else None
    whole = settings.get("max_length")
    if "max_new_tokens" in settings:
        return settings["max_new_tokens"], None
    if seq2seq:
        new = whole - 1 if whole else MAX_NEW_TOKENS  # the start token counts
        return min(new, table or new), None
    if whole:
        return None, whole - 1  # the last token is not read
    return (None if table and table <= MAX_NEW_TOKENS else MAX_NEW_TOKENS), None


def _search(settings, sampling):
    """The sampler, and the rules that belong to it."""
    beams, count = settings.get("num_beams", 1), settings.get("num_return_sequences", 1)
    if sampling:
        if beams > 1:
            _refuse(settings, "do_sample", f"no do_sample with num_beams={beams}")
        rules = []
        if settings.get("temperature", 1) != 1:
            rules.append(Temperature(settings["temperature"]))
        if k := settings.get("top_k", TOP_K):
            rules.append(TopK(k))
        if settings.get("top_p", 1) < 1:
            rules.append(TopP(settings["top_p"]))
        if p := settings.get("min_p"):
            rules.append(MinP(p))
        return RandomSampler(samples=count), rules
    if beams > 1:
        sampler = BeamSearch(
            beams,
            settings.get("length_penalty", 1.0),
            count,
            penalty="power",
            early_stopping=settings.get("early_stopping", False),
        )
        return sampler, [Renormalize()] if settings.get("renormalize_logits") else []
    if count > 1:
        _refuse(settings, "num_return_sequences", "one sequence of a greedy search")
    return "greedy", []


def _rules(settings, seq2seq, ends, max_new_tokens):
    """The rules of any search, in the order in which `transformers` applies them."""
    rules = []
    if settings.get("repetition_penalty", 1) != 1:
        rules.append(RepetitionPenalty(settings["repetition_penalty"]))
    if n := settings.get("no_repeat_ngram_size"):
        rules.append(NoRepeatNgrams(n))
    words = [word for word in settings.get("bad_words_ids", []) if word not in [[i] for i in ends]]
    if single := [word[0] for word in words if len(word) == 1]:
        rules.append(ForbiddenTokens(single))
    rules += [ForbiddenSequence(word) for word in words if len(word) != 1]
    least = settings.get("min_new_tokens")
    if least is None and settings.get("min_length"):
        if not seq2seq:
            _refuse(settings, "min_length", "min_new_tokens, which does not count a prompt")
        least = settings["min_length"] - 1  # the start token counts
    if least:
        rules.append(MinLength(least))
    first = settings.get("forced_bos_token_id")
    if first is None and settings.get("force_bos_token_to_be_generated"):  # of the oldest BARTs
        first = settings.get("bos_token_id")
    if first is not None:
        if not seq2seq:
            _refuse(settings, "forced_bos_token_id", "an encoder-decoder to force a first token")
        rules.append(ForcedTokens([first], at=0))
    last = settings.get("forced_eos_token_id")
    if last is not None:
        if max_new_tokens is None:
            _refuse(settings, "forced_eos_token_id", "max_new_tokens, to force the last token")
        last = last if isinstance(last, list) else [last]
        rules.append(ForcedTokens(last, at=max_new_tokens - 1))
    if tokens := settings.get("suppress_tokens"):
        rules.append(ForbiddenTokens(tokens))
    if tokens := settings.get("begin_suppress_tokens"):
        rules.append(ForbiddenTokens(tokens, at=0 if first is None else 1))
    return rules


def _refuse(settings, name, expected):
    raise refusal(expected, **{name: settings.get(name)})
