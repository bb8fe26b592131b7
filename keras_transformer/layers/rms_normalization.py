"""Keras' RMSNormalization, which would otherwise drop the masks of its inputs."""

import keras

from keras_transformer.layers.recomputable import Recomputable


@keras.saving.register_keras_serializable(package="keras_transformer")
class RMSNormalization(Recomputable, keras.layers.RMSNormalization):
    """Divides by the root mean square; unlike Keras' own, lets implicit masks through.

    Reference:
        Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.supports_masking = True
