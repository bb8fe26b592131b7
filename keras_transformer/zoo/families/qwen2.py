"""Qwen2: Yang et al. 2024."""

from collections.abc import Sequence
from typing import Any

from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.families.llama import HEAD, HIDDEN, Llama


class Qwen2(Llama):
    """`model_type` "qwen2": Llama with biases of queries, keys and values."""

    model_type = "qwen2"
    defaults = {
        **Llama.defaults,
        "vocab_size": 151936,
        "intermediate_size": 22016,
        "num_key_value_heads": 32,
        "max_position_embeddings": 32768,
        "use_sliding_window": False,
        "sliding_window": 4096,
        "max_window_layers": 28,
        "layer_types": None,
    }
    nullable = {**Llama.nullable, "sliding_window": int, "layer_types": list}
    heads = {"Qwen2ForCausalLM": HEAD, "Qwen2Model": HIDDEN}

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        layers, first = settings["num_hidden_layers"], settings["max_window_layers"]
        window = settings["sliding_window"] if settings["use_sliding_window"] else None
        types = settings["layer_types"] or [
            "sliding_attention" if window and i >= first else "full_attention"
            for i in range(layers)
        ]
        require(
            types in ([kind] * layers for kind in ("sliding_attention", "full_attention")),
            "a sliding window in all layers or in none",
            error=ZooError,
            layer_types=types,
            max_window_layers=first,
        )
        return super().more_fields(settings) | {
            "window": window if "sliding_attention" in types else None
        }

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        kind = "sliding_attention" if config.window else "full_attention"
        return super().more_settings(config) | {
            "use_sliding_window": config.window is not None,
            "sliding_window": config.window,
            "max_window_layers": 0 if config.window else config.num_layers,
            "layer_types": [kind] * config.num_layers,
        }

    def biases(self, settings: dict[str, Any]) -> bool | list[str]:
        return ["query_key_value"]

    def bias_settings(self, use_bias: bool | Sequence[str]) -> dict[str, bool]:
        return {}
