"""One HTML file that shows what a model does with some texts, and how."""

from keras_transformer.monitoring.explorer.explore import explore

__all__ = ["explore"]
