"""Llama: Touvron et al. 2023; and what its descendants share with it."""

from collections.abc import Sequence
from typing import Any

from keras_transformer.config import TransformerConfig
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.heads import Head
from keras_transformer.zoo.settings import check_type

HEAD = Head("decoder", {"logits_projection": "lm_head"})
HIDDEN = Head("hidden")
ATTENTION_BIASES, MLP_BIASES = ["query_key_value", "output"], ["expand", "contract"]


class Llama(Family):
    """`model_type` "llama"."""

    model_type = "llama"
    prefix = "model."
    fields = {
        "vocab_size": "vocabulary_size",
        "hidden_size": "hidden_dim",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "intermediate_size": "intermediate_dim",
        "max_position_embeddings": "max_sequence_length",
        "hidden_act": "activation",
        "rms_norm_eps": "layer_norm_epsilon",
        "attention_dropout": "attention_dropout",
        "initializer_range": "initializer_range",
        "tie_word_embeddings": "tie_embeddings",
    }
    defaults = {
        "vocab_size": 32000,
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": None,
        "head_dim": None,
        "intermediate_size": 11008,
        "max_position_embeddings": 2048,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "rope_parameters": None,
    }
    nullable = {
        "num_key_value_heads": int,
        "head_dim": int,
        "rope_scaling": dict,
        "rope_parameters": dict,
    }
    supported = {
        "partial_rotary_factor": (None, 1.0),
        "original_max_position_embeddings": (None,),  # beside those of the scaling
    }
    constants = {
        "position": "rotary",
        "norm": "rms_norm",
        "gated": True,
        "normalize_first": True,
        "scale_embedding": False,
        "dropout": 0.0,
        "pad_id": None,
    }
    names = {
        "embedding": "model.embed_tokens.weight",
        "decoder_block_{i}/self_attention/query_key_value": [
            "model.layers.{i}.self_attn.q_proj",
            "model.layers.{i}.self_attn.k_proj",
            "model.layers.{i}.self_attn.v_proj",
        ],
        "decoder_block_{i}/self_attention/output": "model.layers.{i}.self_attn.o_proj",
        "decoder_block_{i}/self_attention_norm": "model.layers.{i}.input_layernorm",
        "decoder_block_{i}/feed_forward/expand": [
            "model.layers.{i}.mlp.gate_proj",
            "model.layers.{i}.mlp.up_proj",
        ],
        "decoder_block_{i}/feed_forward/contract": "model.layers.{i}.mlp.down_proj",
        "decoder_block_{i}/feed_forward_norm": "model.layers.{i}.post_attention_layernorm",
        "decoder_norm": "model.norm",
    }
    heads = {"LlamaForCausalLM": HEAD, "LlamaModel": HIDDEN}
    same_if_tied = {"lm_head.weight": names["embedding"]}

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        heads, size = settings["num_key_value_heads"], settings["head_dim"]
        usual = settings["hidden_size"] / settings["num_attention_heads"]
        return {
            "num_key_value_heads": None if heads == settings["num_attention_heads"] else heads,
            "key_dim": None if size == usual else size,
            "use_bias": self.biases(settings),
            **rotary(settings),
        }

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        scaling = config.rotary_scaling or {"rope_type": "default"}
        return {
            "num_key_value_heads": config.num_key_value_heads or config.num_heads,
            "head_dim": config.head_dim,
            "rope_theta": config.rotary_base,
            # As transformers wrote it before version 5, and since.
            "rope_scaling": config.rotary_scaling,
            "rope_parameters": {"rope_theta": config.rotary_base, **scaling},
            **self.bias_settings(config.use_bias),
        }

    def biases(self, settings: dict[str, Any]) -> bool | list[str]:
        """Our `use_bias`."""
        names = ATTENTION_BIASES * settings["attention_bias"] + MLP_BIASES * settings["mlp_bias"]
        return names if 0 < len(names) < 4 else bool(names)

    def bias_settings(self, use_bias: bool | Sequence[str]) -> dict[str, bool]:
        """Their settings for it."""
        if isinstance(use_bias, bool):
            return {"attention_bias": use_bias, "mlp_bias": use_bias}
        return {"attention_bias": "output" in use_bias, "mlp_bias": "expand" in use_bias}


def rotary(settings: dict[str, Any]) -> dict[str, Any]:
    """Our rotary settings of theirs, as transformers wrote them before version 5, or since."""
    scaling = settings["rope_scaling"] or settings["rope_parameters"] or {}
    scaling = {name: value for name, value in scaling.items() if value is not None}
    base = scaling.pop("rope_theta", settings["rope_theta"])
    kind = scaling.pop("type", "default")  # the oldest name
    scaling = {"rope_type": kind, **scaling}
    for name, default in (("partial_rotary_factor", 1), ("truncate", True)):
        if scaling.get(name) == default:
            del scaling[name]
    if scaling["rope_type"] in ("llama3", "yarn"):
        scaling.setdefault("original_max_position_embeddings", settings["max_position_embeddings"])
    for name, value in {"rope_theta": base, **scaling}.items():
        check_type(name, value, str if name == "rope_type" else float)
    return {
        "rotary_base": base,
        "rotary_scaling": None if scaling == {"rope_type": "default"} else scaling,
    }
