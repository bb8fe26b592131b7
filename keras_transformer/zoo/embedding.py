"""How the folders of sentence-transformers say that texts become vectors."""

from pathlib import Path
from typing import Any

from keras_transformer.checks import require
from keras_transformer.reading import check_inside
from keras_transformer.zoo.checkpoint import CONFIG, ZooError, read_json, read_list

# In older files a flag each.
_MODES = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}


def sentence_settings(folder: Path) -> tuple[Path, dict[str, Any]]:
    """`(folder of the model, arguments of a tasks.TextEmbedder)` that a folder's files say.

    Raises:
        ZooError: For modules and ways of pooling that are not supported, by name, and broken files.
    """
    place, steps = folder, {"Pooling": None}
    if (folder / "modules.json").is_file():
        modules = read_list(folder / "modules.json")
        steps = {str(module.get("type")).split(".")[-1]: module.get("path") for module in modules}
        expected = ("Transformer", "Pooling", "Normalize")
        require(
            list(steps) in ([*expected], [*expected[:2]]) and len(modules) == len(steps),
            f"the modules {', '.join(expected[:2])} and at most {expected[2]}",
            ", ".join(steps),
            where=folder / "modules.json",
            error=ZooError,
        )
        for step in steps.values():
            is_path = step is None or isinstance(step, str)
            where = folder / "modules.json"
            require(is_path, "paths of folders", repr(step), where=where, error=ZooError)
            check_inside(folder / (step or ""), folder, ZooError)
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
    require(
        not prompt or found.get("include_prompt", True),
        "prompts to be pooled",
        "include_prompt=False",
        where=path,
        error=ZooError,
    )
    if "pooling_mode" in found:
        return found["pooling_mode"]
    return [mode for mode, name in _MODES.items() if found.get(name)] or "mean"


def _read_any(folder, pattern):
    return next((read_json(path) for path in sorted(folder.glob(pattern))), {})
