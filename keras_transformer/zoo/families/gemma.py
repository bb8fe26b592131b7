"""Gemma: Gemma Team 2024."""

from typing import Any

from keras_transformer.zoo.families.llama import HEAD, HIDDEN, Llama


class Gemma(Llama):
    """`model_type` "gemma": Llama with scaled embeddings, GeGLU and norms that scale by 1 + w."""

    model_type = "gemma"
    defaults = {
        **Llama.defaults,
        "vocab_size": 256000,
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "head_dim": 256,
        "intermediate_size": 24576,
        "max_position_embeddings": 8192,
        "hidden_act": "gelu_pytorch_tanh",
        "tie_word_embeddings": True,
    }
    supported = {
        **Llama.supported,
        "mlp_bias": (False,),
        "use_bidirectional_attention": (None, False),
        "hidden_activation": (None, "gelu_pytorch_tanh"),  # before version 5, it came first
    }
    constants = {**Llama.constants, "scale_embedding": True}
    heads = {"GemmaForCausalLM": HEAD, "GemmaModel": HIDDEN}
    shift = 1.0

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        # The first files say "gelu" and mean its tanh formula.
        act = settings["hidden_act"]
        return super().more_fields(settings) | (
            {"activation": "gelu_tanh"} if act == "gelu" else {}
        )
