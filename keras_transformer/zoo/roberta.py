"""RoBERTa: Liu et al. 2019."""

from keras_transformer.zoo.bert import Bert
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.family import Head

MASKED = {
    "masked_lm_head/transform": "lm_head.dense",
    "masked_lm_head/norm": "lm_head.layer_norm",
    "logits": "lm_head.bias",
    "logits_projection": "lm_head.decoder",
}


def renamed(name):
    if isinstance(name, list):
        return [renamed(one) for one in name]
    return name.replace("bert.", "roberta.", 1)


class Roberta(Bert):
    """`model_type` "roberta": BERT's layers, positions counted from after the padding's."""

    model_type = "roberta"
    prefix = "roberta."
    defaults = {**Bert.defaults, "vocab_size": 50265, "pad_token_id": 1}
    names = {ours: renamed(theirs) for ours, theirs in Bert.names.items()}
    heads = {
        "RobertaModel": Head("encoder"),
        "RobertaForMaskedLM": Head("masked", MASKED),
        "RobertaForSequenceClassification": Head(
            "classifier", {"pooled_output": "classifier.dense", "logits": "classifier.out_proj"}
        ),
    }
    same_if_tied = {
        "lm_head.decoder.weight": names["embedding"],
        "lm_head.decoder.bias": "lm_head.bias",
    }
    unused = Bert.unused + r"|^lm_head\.bias$"

    def skip(self, pad_id):
        if pad_id is None:
            raise ZooError(
                "expected pad_token_id, from which positions are counted. Received: None"
            )
        return pad_id + 1
