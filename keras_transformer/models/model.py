"""A Functional model that knows what a published folder said of it."""

import keras


@keras.saving.register_keras_serializable("keras_transformer")
class TransformerModel(keras.Model):
    """A Functional `keras.Model` with notes, which its `.keras` file keeps.

    Attributes:
        published: str, JSON of what a published folder says beside the architecture and weights,
            such as the names of classes and how to generate; `keras_transformer.zoo` writes and
            reads it. None for a model that is from no such folder.

    Example:

    >>> inputs = keras.Input((2,))
    >>> model = TransformerModel(inputs, keras.layers.Dense(1)(inputs))
    >>> model.published = "{}"
    >>> TransformerModel.from_config(model.get_config()).published
    '{}'
    """

    published = None

    def get_config(self):
        notes = {} if self.published is None else {"published": self.published}
        return {**super().get_config(), **notes}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        published = config.pop("published", None)
        model = super().from_config(config, custom_objects)
        model.published = published
        return model
