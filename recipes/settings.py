"""The settings that all recipes have: where they come from, and what none may say."""

import dataclasses
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import keras_transformer as kt
from keras_transformer.checks import refusal, require
from keras_transformer.recipes.flags import check_bounds, flag_of, of_json, read_flags
from keras_transformer.training.checkpoints import read_interval
from keras_transformer.training.settings import check_recipe, read_settings

# How far to go, and where from: what a resumed run may change.
RUN_MODES = (
    *("epochs", "max_updates", "patience", "resume", "overwrite", "settings", "name", "recipe"),
    *("checkpoint_every", "data_changed", "watch", "examples", "profile"),
    *("max_unknown", "keep_checkpoints"),  # which runs of before do not have
)
ARCHITECTURE = ("num_layers", "num_heads", "hidden_dim", "intermediate_dim", "dropout")
# What a pretrained model brings, and no flag can change.
PRETRAINED = (
    *("tokenizer", "vocabulary", "vocabulary_size", "lowercase", "preset", "modern", "window"),
    *("num_layers", "num_heads", "hidden_dim", "intermediate_dim"),
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a training run that all recipes have; a recipe adds its own."""

    recipe: ClassVar[str]  # by which run folders are known
    built_in: ClassVar[str]  # flags for the built-in corpus, which is small and regular
    families: ClassVar[tuple[str, ...]]  # of published models that --from-zoo takes
    roles: ClassVar = ("start", "end", "pad")  # special tokens that their tokenizers need
    length: ClassVar[str | None]  # the setting that a published model's longest sequence bounds

    # Text.
    vocabulary_size: int | None = None  # tokens of a tokenizer that is trained (8,000 at most)
    max_unknown: float = 0.1  # largest share of tokens that the vocabulary may not know
    # Model.
    preset: str | None = None  # named size, such as transformer_base, gpt2_small or bert_small
    num_layers: int | None = None  # blocks of the model
    num_heads: int | None = None  # attention heads
    hidden_dim: int | None = None  # width of the residual stream
    intermediate_dim: int | None = None  # width inside the feed-forward networks
    dropout: float | None = None  # share of activations dropped in training
    from_zoo: str | None = None  # instead: a published model to begin with, its folder or hub id
    lora: int | None = None  # of a pretrained model learn only changes of this rank
    # Training.
    epochs: int = 10  # passes over the text
    max_updates: int | None = None  # stop after so many updates, also within an epoch
    precision: Literal["float32", "mixed_bfloat16"] = "float32"  # of compute
    seed: int = 1  # of the weights, dropout and order of the text
    # The run.
    name: str | None = None  # its folders: runs/NAME and tensorboard_logs/NAME (default: the time)
    settings: str | None = None  # settings.json of a run to repeat
    checkpoint_every: str = "10m"  # save so often: minutes such as 10m, or updates such as 500
    keep_checkpoints: Literal["last", "early"] = "last"  # early: and updates 0, 1, 2, 4, 8...
    watch: bool = True  # also draw attention, embeddings and norms for TensorBoard
    examples: tuple[str, ...] = ()  # what the attention is drawn of (one validation text)
    profile: str | None = None  # batches to profile for TensorBoard, such as 100-110
    resume: bool = False  # go on with the run --name where it stopped
    data_changed: bool = False  # ... with other text, from the next epoch on
    overwrite: bool = False  # replace the run --name

    @classmethod
    def parse(cls, arguments: list[str], about: str) -> Self:
        """Defaults, then the corpus' or a stored run's settings, then those of a command line."""
        given = read_flags(cls, arguments, about)
        # How a run was begun is no part of what is repeated.
        begun = {"resume": False, "data_changed": False, "overwrite": False, "settings": None}
        if given.resume:
            if not given.name:
                raise ValueError("--resume needs the --name of the run to go on with.")
            stored = kt.training.Run.open(given.folder, cls.recipe).settings
            default = cls(**(of_json(given.folder, cls, stored) | begun))
        elif given.settings:
            stored = read_settings(Path(given.settings))
            check_recipe(given.settings, stored, cls.recipe)
            default = cls(**(of_json(given.settings, cls, stored) | begun | {"name": None}))
        else:
            default = read_flags(cls, cls.built_in.split() if given.is_built_in() else [])
        chosen = read_flags(cls, arguments, about, default)
        if chosen.name is None:
            name = time.strftime(f"{cls.recipe}-%Y%m%d-%H%M%S")
            chosen = dataclasses.replace(chosen, name=name)
        chosen.check()
        return chosen

    def is_built_in(self) -> bool:
        """Whether no text is given."""
        raise NotImplementedError

    def check(self) -> None:
        """Refuses what no run can be, before any text is read."""
        check_bounds(vars(self))
        run = kt.training.Run(self.folder)
        try:
            every = self.checkpoint_every
            read_interval(every if every.isprintable() else repr(every))
        except ValueError as error:
            raise ValueError(f"--checkpoint-every: {error}") from None
        profiled_batches(self.profile)
        if self.data_changed and not self.resume:
            raise ValueError("--data-changed goes together with --resume.")
        if self.resume:
            run.check_same(self.stored(), RUN_MODES)
            if not self.is_done():
                run.check_free()
        else:
            run.check_new(self.overwrite)
        check_pretrained(self)
        if self.preset and not self.from_zoo:
            kt.TransformerConfig.preset(self.preset, **model_changes(self))

    def is_done(self) -> bool:
        """Whether the run to resume is finished, and is not to go farther."""
        run = kt.training.Run(self.folder)
        far = ("epochs", "max_updates", "patience")
        same = all(run.settings.get(name) == getattr(self, name, None) for name in far)
        return run.is_finished and same

    def chosen(self) -> dict[str, Any]:
        """What makes this run another than others, for TensorBoard's HParams."""
        return {name: value for name, value in vars(self).items() if name not in RUN_MODES}

    def stored(self) -> dict[str, Any]:
        """What settings.json holds."""
        return {**vars(self), "recipe": self.recipe}

    @property
    def folder(self) -> Path:
        """The run's folder, which is inside `runs` whatever the name."""
        path = Path(self.name)
        is_readable = self.name.strip() and self.name.isprintable()
        if not is_readable or path.is_absolute() or ".." in path.parts or not path.parts:
            shown = self.name if is_readable else repr(self.name)
            raise refusal("--name to be of a folder inside runs", f"--name={shown}")
        return "runs" / path

    @property
    def log_dir(self) -> Path:
        """The folder of its logs."""
        return Path("tensorboard_logs") / self.name


def profiled_batches(profile: str | None) -> tuple[int, int] | None:
    """The first and the last batch of `--profile 100-110`."""
    if profile is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,8})-([1-9]\d{0,8})", profile)
    is_range = found and int(found[1]) <= int(found[2])
    require(is_range, "--profile of batches, such as 100-110", f"--profile {profile!r}")
    return int(found[1]), int(found[2])


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The flags of commands for what was trained."""

    run: str  # folder of a finished run such as runs/en-de, a published folder, or a hub id
    int8: bool = False  # linear maps in 8 bits: less memory, a little less exact


def check_pretrained(settings: Settings) -> None:
    """Refuses a --from-zoo that the recipe cannot go on with, and what contradicts it."""
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    given = [n for n in PRETRAINED if n in defaults and getattr(settings, n) != defaults[n]]
    from_run = getattr(settings, "from_run", None)
    for source in ("from_zoo", "from_run"):
        if getattr(settings, source, None) and given:
            flags = ", ".join(map(flag_of, given))
            raise ValueError(f"{flag_of(source)} brings its own model and tokenizer, not {flags}.")
    if settings.lora and not (settings.from_zoo or (from_run and not settings.fresh)):
        raise ValueError("--lora goes together with a pretrained model.")
    if settings.from_zoo:
        config, kind = kt.zoo.load_config(settings.from_zoo), kt.zoo.model_type(settings.from_zoo)
        expected = f"a model of type {' or '.join(settings.families)}"
        require(kind in settings.families, expected, kind, where=settings.from_zoo)
        length = settings.length and getattr(settings, settings.length)
        if length and length > (most := config.max_sequence_length):
            flag = flag_of(settings.length)
            expected = f"{flag} up to the {most:,} tokens that {settings.from_zoo} reads"
            raise refusal(expected, str(length))


def model_changes(settings: Settings) -> dict[str, Any]:
    """The changes to a preset that were asked for."""
    changes = {name: getattr(settings, name) for name in ARCHITECTURE}
    return {name: value for name, value in changes.items() if value is not None}
