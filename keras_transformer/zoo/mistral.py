"""Mistral: Jiang et al. 2023."""

from keras_transformer.zoo.llama import HEAD, HIDDEN, Llama


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
    heads = {"MistralForCausalLM": HEAD, "MistralModel": HIDDEN}

    def biases(self, settings):
        return False

    def bias_settings(self, use_bias):
        return {}
