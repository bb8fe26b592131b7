"""The layers. Shape letters used in all of them:

B batch, T query length, S key length, N heads, K key-value heads, H head size, D hidden,
F intermediate, V vocabulary. In every mask True marks a real token, or one that may be looked at.
"""

from keras_transformer.layers.bias import Bias
from keras_transformer.layers.causal_mask import CausalMask
from keras_transformer.layers.decoder_block import DecoderBlock
from keras_transformer.layers.encoder_block import EncoderBlock
from keras_transformer.layers.feed_forward import FeedForward
from keras_transformer.layers.learned_positions import LearnedPositions
from keras_transformer.layers.masked_lm_head import MaskedLMHead
from keras_transformer.layers.multi_head_cross_attention import MultiHeadCrossAttention
from keras_transformer.layers.multi_head_self_attention import MultiHeadSelfAttention
from keras_transformer.layers.packed_lines import PackedLines
from keras_transformer.layers.padding_mask import PaddingMask
from keras_transformer.layers.positional_embedding import PositionalEmbedding
from keras_transformer.layers.rotary_embedding import RotaryEmbedding

__all__ = [
    "Bias",
    "CausalMask",
    "DecoderBlock",
    "EncoderBlock",
    "FeedForward",
    "LearnedPositions",
    "MaskedLMHead",
    "MultiHeadCrossAttention",
    "MultiHeadSelfAttention",
    "PackedLines",
    "PaddingMask",
    "PositionalEmbedding",
    "RotaryEmbedding",
]
