"""The recipes: each a page that trains a model and then works with it, run by name or copied.

In the repository they are the folder `recipes`, installed the package `keras_transformer.recipes`.
"""
