"""The families of published models: a file each, and the table of them."""

from typing import Any

from keras_transformer.checks import refusal, require
from keras_transformer.zoo.checkpoint import ZooError
from keras_transformer.zoo.families.bart import Bart
from keras_transformer.zoo.families.bert import Bert
from keras_transformer.zoo.families.distilbert import DistilBert
from keras_transformer.zoo.families.gemma import Gemma
from keras_transformer.zoo.families.gpt2 import Gpt2
from keras_transformer.zoo.families.llama import Llama
from keras_transformer.zoo.families.marian import Marian
from keras_transformer.zoo.families.mistral import Mistral
from keras_transformer.zoo.families.qwen2 import Qwen2
from keras_transformer.zoo.families.roberta import Camembert, Roberta, XlmRoberta
from keras_transformer.zoo.family import Family

__all__ = ["FAMILIES", "family_of"]

# In the order in which a model without the name of a family is tried.
FAMILIES: dict[str, Family] = {
    family.model_type: family()
    for family in (
        *(Bert, DistilBert, Roberta, XlmRoberta, Camembert),
        *(Gpt2, Llama, Mistral, Qwen2, Gemma),
        *(Marian, Bart),
    )
}


def family_of(settings: dict[str, Any]) -> Family:
    """The family that a `config.json` names.

    Raises:
        ZooError: for another model type, and for quantized weights.
    """
    kind = settings.get("model_type")
    family = FAMILIES.get(kind) if isinstance(kind, str) else None
    if family is None:
        raise refusal(f"a model_type among {', '.join(FAMILIES)}", repr(kind), error=ZooError)
    require(
        not settings.get("quantization_config"),
        "weights that are not quantized",
        "a quantization_config",
        error=ZooError,
    )
    return family
