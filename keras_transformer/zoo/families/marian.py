"""Marian: Junczys-Dowmunt et al. 2018; the opus-mt models of Tiedemann and Thottingal 2020."""

from typing import Any

import numpy as np
from keras import ops

from keras_transformer.config import TransformerConfig
from keras_transformer.layers.sinusoidal_positions import sinusoids
from keras_transformer.zoo.families.bart import HEAD, Bart


class Marian(Bart):
    """`model_type` "marian": the Transformer of Vaswani et al. 2017, with a bias of the logits."""

    model_type = "marian"
    defaults = {**Bart.defaults, "vocab_size": 58101, "pad_token_id": 58100}
    supported = {
        **Bart.supported,
        "share_encoder_decoder_embeddings": (True,),
        "normalize_embedding": (False,),
        "static_position_embeddings": (True,),
    }
    constants = {"position": "sinusoidal", "logits_bias": True}
    heads = {"MarianMTModel": HEAD, "MarianModel": HEAD}
    unused = Bart.unused + r"|\.embed_positions\.weight$"

    def computed(self, name: str, config: TransformerConfig) -> np.ndarray | None:
        if not name.endswith(".embed_positions.weight"):
            return None
        positions = ops.arange(config.max_sequence_length)
        return np.asarray(ops.convert_to_numpy(sinusoids(positions, config.hidden_dim)))

    def more_settings(self, config: TransformerConfig) -> dict[str, Any]:
        return super().more_settings(config) | {"decoder_start_token_id": config.pad_id}
