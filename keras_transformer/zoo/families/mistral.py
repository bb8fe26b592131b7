"""Mistral: Jiang et al. 2023."""

from collections.abc import Sequence
from typing import Any

from keras_transformer.zoo.families.llama import HEAD, HIDDEN, Llama


class Mistral(Llama):
    """`model_type` "mistral": Llama with a window and without biases."""

    model_type = "mistral"
    fields = {**Llama.fields, "sliding_window": "window"}
    defaults = {
        **Llama.defaults,
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "sliding_window": 4096,
    }
    nullable = {**Llama.nullable, "sliding_window": int}
    heads = {"MistralForCausalLM": HEAD, "MistralModel": HIDDEN}

    def biases(self, settings: dict[str, Any]) -> bool | list[str]:
        return False

    def bias_settings(self, use_bias: bool | Sequence[str]) -> dict[str, bool]:
        return {}
