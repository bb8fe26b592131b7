"""GPT-2: Radford et al. 2019."""

from typing import Any

from keras_transformer.config import TransformerConfig
from keras_transformer.types import Shape
from keras_transformer.zoo.counterpart import Counterpart
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.heads import Head

HEAD = Head("decoder", {"logits_projection": "lm_head"})
HIDDEN = Head("hidden")


class Gpt2(Family):
    """`model_type` "gpt2"."""

    model_type = "gpt2"
    prefix = "transformer."
    fields = {
        "vocab_size": "vocabulary_size",
        "n_embd": "hidden_dim",
        "n_layer": "num_layers",
        "n_head": "num_heads",
        "n_positions": "max_sequence_length",
        "activation_function": "activation",
        "resid_pdrop": "dropout",
        "embd_pdrop": "dropout",
        "attn_pdrop": "attention_dropout",
        "layer_norm_epsilon": "layer_norm_epsilon",
        "initializer_range": "initializer_range",
        "tie_word_embeddings": "tie_embeddings",
    }
    defaults = {
        "vocab_size": 50257,
        "n_embd": 768,
        "n_layer": 12,
        "n_head": 12,
        "n_positions": 1024,
        "n_inner": None,
        "activation_function": "gelu_new",
        "resid_pdrop": 0.1,
        "embd_pdrop": 0.1,
        "attn_pdrop": 0.1,
        "layer_norm_epsilon": 1e-5,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
    }
    nullable = {"n_inner": int}
    supported = {
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    }
    constants = {
        "position": "learned",
        "scale_embedding": False,
        "normalize_first": True,
        "pad_id": None,
    }
    names = {
        "embedding": "transformer.wte.weight",
        "embedding/positions": "transformer.wpe.weight",
        "decoder_block_{i}/self_attention/query_key_value": "transformer.h.{i}.attn.c_attn",
        "decoder_block_{i}/self_attention/output": "transformer.h.{i}.attn.c_proj",
        "decoder_block_{i}/self_attention_norm": "transformer.h.{i}.ln_1",
        "decoder_block_{i}/feed_forward/expand": "transformer.h.{i}.mlp.c_fc",
        "decoder_block_{i}/feed_forward/contract": "transformer.h.{i}.mlp.c_proj",
        "decoder_block_{i}/feed_forward_norm": "transformer.h.{i}.ln_2",
        "decoder_norm": "transformer.ln_f",
    }
    heads = {"GPT2LMHeadModel": HEAD, "GPT2Model": HIDDEN}
    transposed = False  # its kernels are (inputs, outputs), as ours
    same_if_tied = {"lm_head.weight": names["embedding"]}
    unused = Family.unused + r"|\.attn\.(bias|masked_bias)$"  # causal masks

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {"intermediate_dim": settings["n_inner"] or 4 * settings["n_embd"]}

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        return {"n_inner": config.intermediate_dim}

    def counterpart(
        self, path: str, shape: Shape, config: TransformerConfig, head: Head
    ) -> Counterpart | None:
        found = super().counterpart(path, shape, config, head)
        # The head alone is a linear layer.
        return found and found._replace(transposed=path == "logits_projection/kernel")
