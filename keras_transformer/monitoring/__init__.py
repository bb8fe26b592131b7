"""TensorBoard for training runs, and figures of what a model gets wrong."""

from keras_transformer.monitoring.confusion import (
    ConfusionMatrix,
    plot_confusion,
    show_confusion,
)
from keras_transformer.monitoring.reports import (
    answers,
    classification_report,
    confusion_matrix,
    regression_report,
    report,
)
from keras_transformer.monitoring.sample_table import SampleTable
from keras_transformer.monitoring.samples import (
    SampleGuesses,
    SampleTexts,
    SampleTranslations,
)
from keras_transformer.monitoring.tensorboard import TensorBoard
from keras_transformer.monitoring.translation_scores import TranslationScores

__all__ = [
    "ConfusionMatrix",
    "SampleGuesses",
    "SampleTable",
    "SampleTexts",
    "SampleTranslations",
    "TensorBoard",
    "TranslationScores",
    "answers",
    "classification_report",
    "confusion_matrix",
    "plot_confusion",
    "regression_report",
    "report",
    "show_confusion",
]
