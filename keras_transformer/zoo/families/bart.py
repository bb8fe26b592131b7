"""BART: Lewis et al. 2020."""

from typing import Any

from keras_transformer.checks import require
from keras_transformer.config import TransformerConfig
from keras_transformer.types import Shape
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.counterpart import Counterpart
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.heads import Head


def names_of_block(side: str) -> dict[str, Any]:
    """The names of a block of the encoder or the decoder."""
    ours, theirs = f"{side}_block_{{i}}", f"model.{side}.layers.{{i}}"
    return {
        f"{ours}/self_attention/query_key_value": [
            f"{theirs}.self_attn.q_proj",
            f"{theirs}.self_attn.k_proj",
            f"{theirs}.self_attn.v_proj",
        ],
        f"{ours}/self_attention/output": f"{theirs}.self_attn.out_proj",
        f"{ours}/self_attention_norm": f"{theirs}.self_attn_layer_norm",
        f"{ours}/feed_forward/expand": f"{theirs}.fc1",
        f"{ours}/feed_forward/contract": f"{theirs}.fc2",
        f"{ours}/feed_forward_norm": f"{theirs}.final_layer_norm",
    }


NAMES = {"logits": "final_logits_bias", "logits_projection": "lm_head"}
HEAD = Head("seq2seq", NAMES, may_lack=("logits/bias",))


class Bart(Family):
    """`model_type` "bart"."""

    model_type = "bart"
    prefix = "model."
    fields = {
        "vocab_size": "vocabulary_size",
        "d_model": "hidden_dim",
        "encoder_layers": "num_layers",
        "encoder_attention_heads": "num_heads",
        "encoder_ffn_dim": "intermediate_dim",
        "max_position_embeddings": "max_sequence_length",
        "activation_function": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "init_std": "initializer_range",
        "scale_embedding": "scale_embedding",
        "pad_token_id": "pad_id",
        "tie_word_embeddings": "tie_embeddings",
    }
    defaults = {
        "vocab_size": 50265,
        "d_model": 1024,
        "encoder_layers": 12,
        "decoder_layers": 12,
        "encoder_attention_heads": 16,
        "decoder_attention_heads": 16,
        "encoder_ffn_dim": 4096,
        "decoder_ffn_dim": 4096,
        "max_position_embeddings": 1024,
        "activation_function": "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.0,
        "init_std": 0.02,
        "scale_embedding": False,
        "pad_token_id": 1,
        "tie_word_embeddings": True,
    }
    nullable = {"pad_token_id": int}
    supported = {
        "is_decoder": (False,),
        # Of relatives, such as mBART, that were published under this type.
        "normalize_before": (False,),
        "add_final_layer_norm": (False,),
        "normalize_embedding": (True,),
        "static_position_embeddings": (False,),
    }
    constants = {"position": "learned", "embedding_norm": True, "logits_bias": True}
    names = {
        "embedding": "model.shared.weight",
        "encoder_positions": "model.encoder.embed_positions.weight",
        "decoder_positions": "model.decoder.embed_positions.weight",
        "encoder_embedding_norm": "model.encoder.layernorm_embedding",
        "decoder_embedding_norm": "model.decoder.layernorm_embedding",
        **names_of_block("encoder"),
        **names_of_block("decoder"),
        "decoder_block_{i}/cross_attention/query": "model.decoder.layers.{i}.encoder_attn.q_proj",
        "decoder_block_{i}/cross_attention/key_value": [
            "model.decoder.layers.{i}.encoder_attn.k_proj",
            "model.decoder.layers.{i}.encoder_attn.v_proj",
        ],
        "decoder_block_{i}/cross_attention/output": (
            "model.decoder.layers.{i}.encoder_attn.out_proj"
        ),
        "decoder_block_{i}/cross_attention_norm": (
            "model.decoder.layers.{i}.encoder_attn_layer_norm"
        ),
    }
    heads = {"BartForConditionalGeneration": HEAD, "BartModel": HEAD}
    same = {
        "model.encoder.embed_tokens.weight": names["embedding"],
        "model.decoder.embed_tokens.weight": names["embedding"],
    }
    same_if_tied = {"lm_head.weight": names["embedding"]}

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        for name in ("attention_heads", "ffn_dim"):
            sides = settings[f"encoder_{name}"], settings[f"decoder_{name}"]
            require(
                sides[0] == sides[1],
                f"encoder_{name} and decoder_{name} to be equal",
                str(sides),
                error=ZooError,
            )
        layers = settings["decoder_layers"]
        return {"num_decoder_layers": None if layers == settings["encoder_layers"] else layers}

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        return {
            "decoder_layers": config.num_decoder_layers or config.num_layers,
            "decoder_attention_heads": config.num_heads,
            "decoder_ffn_dim": config.intermediate_dim,
            "is_encoder_decoder": True,
        }

    def counterpart(
        self, path: str, shape: Shape, config: TransformerConfig, head: Head
    ) -> Counterpart | None:
        found = super().counterpart(path, shape, config, head)
        return found and found._replace(row=path == "logits/bias")

    def zeros(self, config: TransformerConfig, head: Head) -> dict[str, Shape]:
        return {} if config.logits_bias else {"final_logits_bias": (1, config.vocabulary_size)}

    def table(
        self, key: str, names: list[str], shape: Shape, config: TransformerConfig
    ) -> Counterpart:
        skip = 2 if key.endswith("_positions") else 0  # BART's own: the ids 0 and 1
        return Counterpart(names, [shape[-1]], skip=skip)
