"""TensorBoard for training runs, and figures of what a model gets wrong."""

from keras_transformer.monitoring.confusion import (
    ConfusionMatrix,
    classification_report,
    confusion_matrix,
    plot_confusion,
)
from keras_transformer.monitoring.tensorboard import SampleTable, SampleTranslations, TensorBoard

__all__ = [
    "ConfusionMatrix",
    "SampleTable",
    "SampleTranslations",
    "TensorBoard",
    "classification_report",
    "confusion_matrix",
    "plot_confusion",
]
