"""TensorBoard for training runs, and figures of what a model gets wrong."""

from keras_transformer.monitoring.confusion import (
    ConfusionMatrix,
    answers,
    classification_report,
    confusion_matrix,
    plot_confusion,
    regression_report,
    report,
    show_confusion,
)
from keras_transformer.monitoring.samples import (
    SampleGuesses,
    SampleTable,
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
