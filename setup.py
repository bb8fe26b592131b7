"""The packages, which setup.cfg cannot say: those that are found, and the recipes as another."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["keras_transformer*"]), "keras_transformer.recipes"])
