"""TensorBoard for translation runs."""

from keras_transformer.monitoring.tensorboard import SampleTranslations, TensorBoard

__all__ = ["SampleTranslations", "TensorBoard"]
