"""DistilBERT: Sanh et al. 2019."""

from keras_transformer.zoo.families.bert import ANSWERS, TOKENS
from keras_transformer.zoo.family import Family
from keras_transformer.zoo.heads import Head

MASKED = {
    "masked_lm_head/transform": "vocab_transform",
    "masked_lm_head/norm": "vocab_layer_norm",
    "logits": "vocab_projector.bias",
    "logits_projection": "vocab_projector",
}


class DistilBert(Family):
    """`model_type` "distilbert"."""

    model_type = "distilbert"
    prefix = "distilbert."
    fields = {
        "vocab_size": "vocabulary_size",
        "dim": "hidden_dim",
        "n_layers": "num_layers",
        "n_heads": "num_heads",
        "hidden_dim": "intermediate_dim",
        "max_position_embeddings": "max_sequence_length",
        "activation": "activation",
        "dropout": "dropout",
        "attention_dropout": "attention_dropout",
        "initializer_range": "initializer_range",
        "pad_token_id": "pad_id",
        "tie_word_embeddings": "tie_embeddings",
    }
    defaults = {
        "vocab_size": 30522,
        "dim": 768,
        "n_layers": 6,
        "n_heads": 12,
        "hidden_dim": 3072,
        "max_position_embeddings": 512,
        "activation": "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "initializer_range": 0.02,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }
    nullable = {"pad_token_id": int}
    constants = {
        "position": "learned",  # also where they began as sinusoids
        "scale_embedding": False,
        "embedding_norm": True,
        "layer_norm_epsilon": 1e-12,
        "pooler": True,  # a classifier has one, the headless model has none
        "pooler_activation": "relu",
    }
    names = {
        "embedding": "distilbert.embeddings.word_embeddings.weight",
        "embedding/positions": "distilbert.embeddings.position_embeddings.weight",
        "embedding_norm": "distilbert.embeddings.LayerNorm",
        "encoder_block_{i}/self_attention/query_key_value": [
            "distilbert.transformer.layer.{i}.attention.q_lin",
            "distilbert.transformer.layer.{i}.attention.k_lin",
            "distilbert.transformer.layer.{i}.attention.v_lin",
        ],
        "encoder_block_{i}/self_attention/output": (
            "distilbert.transformer.layer.{i}.attention.out_lin"
        ),
        "encoder_block_{i}/self_attention_norm": "distilbert.transformer.layer.{i}.sa_layer_norm",
        "encoder_block_{i}/feed_forward/expand": "distilbert.transformer.layer.{i}.ffn.lin1",
        "encoder_block_{i}/feed_forward/contract": "distilbert.transformer.layer.{i}.ffn.lin2",
        "encoder_block_{i}/feed_forward_norm": "distilbert.transformer.layer.{i}.output_layer_norm",
    }
    heads = {
        "DistilBertModel": Head("encoder"),
        "DistilBertForMaskedLM": Head("masked", MASKED),
        "DistilBertForSequenceClassification": Head(
            "classifier", {"pooled_output": "pre_classifier", "logits": "classifier"}
        ),
        "DistilBertForTokenClassification": TOKENS,
        "DistilBertForQuestionAnswering": ANSWERS,
    }
    same_if_tied = {"vocab_projector.weight": names["embedding"]}
