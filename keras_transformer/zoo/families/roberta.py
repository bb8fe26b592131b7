"""RoBERTa: Liu et al. 2019; XLM-RoBERTa: Conneau et al. 2020; CamemBERT: Martin et al. 2020."""

from keras_transformer.checks import refusal
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.families.bert import ANSWERS, TOKENS, Bert
from keras_transformer.zoo.heads import Head

MASKED = {
    "masked_lm_head/transform": "lm_head.dense",
    "masked_lm_head/norm": "lm_head.layer_norm",
    "logits": "lm_head.bias",
    "logits_projection": "lm_head.decoder",
}
CLASSIFIER = {"pooled_output": "classifier.dense", "logits": "classifier.out_proj"}


def heads(name: str) -> dict[str, Head]:
    """The architectures of a model type that is called `name` in them."""
    return {
        f"{name}Model": Head("encoder"),
        f"{name}ForMaskedLM": Head("masked", MASKED),
        f"{name}ForSequenceClassification": Head("classifier", CLASSIFIER),
        f"{name}ForTokenClassification": TOKENS,
        f"{name}ForQuestionAnswering": ANSWERS,
    }


def in_roberta(name: str | list[str]) -> str | list[str]:
    """The name of BERT's tensor, or several, in RoBERTa's files."""
    if isinstance(name, list):
        return [one.replace("bert.", "roberta.", 1) for one in name]
    return name.replace("bert.", "roberta.", 1)


class Roberta(Bert):
    """`model_type` "roberta": BERT's layers, positions counted from after the padding's."""

    model_type = "roberta"
    prefix = "roberta."
    defaults = {**Bert.defaults, "vocab_size": 50265, "pad_token_id": 1}
    names = {ours: in_roberta(theirs) for ours, theirs in Bert.names.items()}
    heads = heads("Roberta")
    same_if_tied = {
        "lm_head.decoder.weight": names["embedding"],
        "lm_head.decoder.bias": "lm_head.bias",
    }
    unused = Bert.unused + r"|^lm_head\.bias$"

    def skip(self, pad_id: int | None) -> int:
        if pad_id is None:
            raise refusal("pad_token_id, from which positions are counted", "None", error=ZooError)
        return pad_id + 1


class XlmRoberta(Roberta):
    """`model_type` "xlm-roberta": RoBERTa with a tokenizer of a hundred languages."""

    model_type = "xlm-roberta"
    defaults = {**Roberta.defaults, "vocab_size": 30522}
    heads = heads("XLMRoberta")


class Camembert(XlmRoberta):
    """`model_type` "camembert": RoBERTa with a French tokenizer."""

    model_type = "camembert"
    heads = heads("Camembert")
