"""TensorBoard for training runs, the explorer, and figures of what a model gets wrong."""

from keras_transformer.monitoring.attention import (
    Attention,
    alignment_of,
    attention_of,
    legible,
    position_table,
)
from keras_transformer.monitoring.charts import Charts, log_charts
from keras_transformer.monitoring.confusion import (
    ConfusionMatrix,
    plot_confusion,
    show_confusion,
)
from keras_transformer.monitoring.explorer import explore
from keras_transformer.monitoring.figures import (
    alignment_figure,
    attention_figure,
    attention_images,
    position_figure,
)
from keras_transformer.monitoring.head_costs import HeadCosts, cheapest_heads, head_costs
from keras_transformer.monitoring.hyperparameters import (
    Hyperparameters,
    log_hyperparameters,
    log_scalars,
)
from keras_transformer.monitoring.layer_norms import LayerNorms
from keras_transformer.monitoring.neurons import Neuron, neurons
from keras_transformer.monitoring.pictures import Pictures, save_pictures
from keras_transformer.monitoring.profiler import Profiler
from keras_transformer.monitoring.projector import Projector
from keras_transformer.monitoring.pruning_curve import PruningCurve, pruning_curve
from keras_transformer.monitoring.reports import (
    answers,
    classification_report,
    confusion_matrix,
    regression_report,
    report,
)
from keras_transformer.monitoring.resources import Resources
from keras_transformer.monitoring.sample_table import SampleTable
from keras_transformer.monitoring.samples import (
    SampleClasses,
    SampleGuesses,
    SampleTexts,
    SampleTranslations,
)
from keras_transformer.monitoring.tensorboard import TensorBoard
from keras_transformer.monitoring.translation_scores import TranslationScores
from keras_transformer.monitoring.watch import Graph, watch
from keras_transformer.monitoring.watcher import EpochWatcher, Watcher

__all__ = [
    "Attention",
    "Charts",
    "ConfusionMatrix",
    "EpochWatcher",
    "Graph",
    "HeadCosts",
    "Hyperparameters",
    "LayerNorms",
    "Neuron",
    "Pictures",
    "Profiler",
    "Projector",
    "PruningCurve",
    "Resources",
    "SampleClasses",
    "SampleGuesses",
    "SampleTable",
    "SampleTexts",
    "SampleTranslations",
    "TensorBoard",
    "TranslationScores",
    "Watcher",
    "alignment_figure",
    "alignment_of",
    "answers",
    "attention_figure",
    "attention_images",
    "attention_of",
    "cheapest_heads",
    "classification_report",
    "confusion_matrix",
    "explore",
    "head_costs",
    "legible",
    "log_charts",
    "log_hyperparameters",
    "log_scalars",
    "neurons",
    "plot_confusion",
    "position_figure",
    "position_table",
    "pruning_curve",
    "regression_report",
    "report",
    "save_pictures",
    "show_confusion",
    "watch",
]
