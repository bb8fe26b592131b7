"""BERT: Devlin et al. 2019."""

from typing import Any

from keras_transformer.config import TransformerConfig
from keras_transformer.types import Shape
from keras_transformer.zoo.counterpart import Counterpart
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.heads import Head

MASKED = {
    "masked_lm_head/transform": "cls.predictions.transform.dense",
    "masked_lm_head/norm": "cls.predictions.transform.LayerNorm",
    "logits": "cls.predictions.bias",
    "logits_projection": "cls.predictions.decoder",
}
TOKENS = Head("tokens", {"logits": "classifier"})
ANSWERS = Head("answers", {"answer_logits": "qa_outputs"})


class Bert(Family):
    """`model_type` "bert"."""

    model_type = "bert"
    prefix = "bert."
    fields = {
        "vocab_size": "vocabulary_size",
        "hidden_size": "hidden_dim",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "intermediate_size": "intermediate_dim",
        "hidden_act": "activation",
        "hidden_dropout_prob": "dropout",
        "attention_probs_dropout_prob": "attention_dropout",
        "initializer_range": "initializer_range",
        "layer_norm_eps": "layer_norm_epsilon",
        "pad_token_id": "pad_id",
        "tie_word_embeddings": "tie_embeddings",
    }
    defaults = {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }
    nullable = {"pad_token_id": int}
    supported = {
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "position_embedding_type": ("absolute",),  # before version 5 there were others
    }
    constants = {
        "position": "learned",
        "scale_embedding": False,
        "embedding_norm": True,
        "pooler": True,
    }
    names = {
        "embedding": "bert.embeddings.word_embeddings.weight",
        "embedding/positions": "bert.embeddings.position_embeddings.weight",
        "segment_embedding": "bert.embeddings.token_type_embeddings.weight",
        "embedding_norm": "bert.embeddings.LayerNorm",
        "encoder_block_{i}/self_attention/query_key_value": [
            "bert.encoder.layer.{i}.attention.self.query",
            "bert.encoder.layer.{i}.attention.self.key",
            "bert.encoder.layer.{i}.attention.self.value",
        ],
        "encoder_block_{i}/self_attention/output": "bert.encoder.layer.{i}.attention.output.dense",
        "encoder_block_{i}/self_attention_norm": (
            "bert.encoder.layer.{i}.attention.output.LayerNorm"
        ),
        "encoder_block_{i}/feed_forward/expand": "bert.encoder.layer.{i}.intermediate.dense",
        "encoder_block_{i}/feed_forward/contract": "bert.encoder.layer.{i}.output.dense",
        "encoder_block_{i}/feed_forward_norm": "bert.encoder.layer.{i}.output.LayerNorm",
        "pooled_output": "bert.pooler.dense",
    }
    heads = {
        "BertModel": Head("encoder"),
        "BertForMaskedLM": Head("masked", MASKED),
        "BertForPreTraining": Head("pairs", {**MASKED, "next_sentence": "cls.seq_relationship"}),
        "BertForSequenceClassification": Head("classifier", {"logits": "classifier"}),
        "BertForTokenClassification": TOKENS,
        "BertForQuestionAnswering": ANSWERS,
    }
    same_if_tied = {
        "cls.predictions.decoder.weight": names["embedding"],
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    }
    # A projection that is not tied has a bias of its own.
    unused = Family.unused + r"|^cls\.predictions\.bias$"

    def more_fields(self, settings: dict[str, Any]) -> dict[str, Any]:
        types, rows = settings["type_vocab_size"], settings["max_position_embeddings"]
        return {
            # One type says the same of every token: its row is added to those of the positions.
            "num_segments": 0 if types == 1 else types,
            "max_sequence_length": rows - self.skip(settings["pad_token_id"]),
        }

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        return {
            "type_vocab_size": config.num_segments or 1,
            "max_position_embeddings": config.max_sequence_length + self.skip(config.pad_id),
        }

    def skip(self, pad_id: int | None) -> int:
        """Rows of the position table before the first position."""
        return 0

    def counterpart(
        self, path: str, shape: Shape, config: TransformerConfig, head: Head
    ) -> Counterpart | None:
        found = super().counterpart(path, shape, config, head)
        if found and path == "logits/bias" and self.untied(config, head):
            return found._replace(names=[f"{head.names['logits_projection']}.bias"])
        return found

    def zeros(self, config: TransformerConfig, head: Head) -> dict[str, Shape]:
        if not self.untied(config, head):
            return {}
        return {head.names["logits"]: (config.vocabulary_size,)}

    def untied(self, config: TransformerConfig, head: Head) -> bool:
        """Whether the logits of tokens have a matrix of their own."""
        return head.kind in ("masked", "pairs") and not config.tie_embeddings

    def table(
        self, key: str, names: list[str], shape: Shape, config: TransformerConfig
    ) -> Counterpart:
        if key != "embedding/positions":
            return super().table(key, names, shape, config)
        types = self.names["segment_embedding"]
        return Counterpart(
            names,
            [shape[-1]],
            skip=self.skip(config.pad_id),
            added=None if config.num_segments else types,
        )
