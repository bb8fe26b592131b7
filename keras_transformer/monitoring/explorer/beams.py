"""A beam search that is watched: which hypotheses it kept, and which fell, and why."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.backend.compiling import compile_for
from keras_transformer.generation.anatomy import Anatomy, known_config
from keras_transformer.generation.rows import pad_rows
from keras_transformer.generation.rules import Past
from keras_transformer.monitoring.explorer.reading import numpy_of
from keras_transformer.scopes import CacheScope
from keras_transformer.tasks.translator import Translator

DROPPED, OPEN, FINISHED = range(3)


def beams_of(task: Translator, sources: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """The beam search of each source, step by step, as `generation.BeamSearch` does it.

    Here what each step saw is kept, which the search itself forgets.

    Args:
        task: A `Translator` with a beam search.
        sources: List of int32 arrays `(S,)`.

    Returns:
        For each source `{"steps", "winner", "score"}`. A step is a list of candidates `[parent,
        id, log-probability, state, score]`, best first: `parent` is a candidate's place in the
        step before, -1 in the first; `score` is that of a hypothesis which is finished. `winner`
        are the places of the best one, a step each.
    """
    searches = [_Search(task, source) for source in sources]
    anatomy = Anatomy(task.model)
    config, pad_id = known_config(task.model), task.tokenizer.pad_id
    groups: dict[int, list[_Search]] = {}
    for search in searches:  # all together where padding is hidden for sure, or else by length
        is_hidden = config is not None and config.pad_id == pad_id
        groups.setdefault(0 if is_hidden else len(search.source), []).append(search)
    for group in groups.values():
        _run(task.model, anatomy, group, pad_id)
    return [search.found() for search in searches]


def _run(model, anatomy, group, pad_id):
    """Runs some searches, a token of all their open hypotheses a step, with a cache."""
    beams, most = group[0].sampler.beams, max(search.most for search in group)
    source_ids, _ = pad_rows([search.source for search in group], pad_id)
    source_ids = ops.convert_to_tensor(source_ids.astype("int32"))
    memory, mask = anatomy.encode(source_ids)
    given = [None if x is None else ops.repeat(x, beams, axis=0) for x in (memory, mask)]
    given = [ops.repeat(source_ids, beams, axis=0), *given]  # a row a hypothesis

    def decode(ids, step, state, given):
        with CacheScope(state, step, most) as scope:
            logits = anatomy.decode(ids, *given)
        return logits[:, 0], scope.state

    def go_on(ids, rows, step, state, given):
        past = keras.tree.map_structure(lambda x: ops.take(x, rows, axis=0), state["past"])
        return decode(ids, step, {**state, "past": past}, given)

    compiled, state, rows = compile_for(model, go_on), None, None
    for step in range(most):
        ids = np.concatenate([search.newest() for search in group])[:, None]  # (R, 1)
        ids, place = (ops.convert_to_tensor(x, "int32") for x in (ids, step))
        if state is None:
            logits, state = decode(ids, place, None, given)
        else:
            logits, state = compiled(ids, ops.convert_to_tensor(rows), place, state, given)
        each = numpy_of(logits).reshape(len(group), beams, -1)
        parents = [search.extend(own) for search, own in zip(group, each, strict=True)]
        if not any(search.going for search in group):
            return
        rows = np.concatenate([beams * i + own for i, own in enumerate(parents)]).astype("int32")


class _Search:
    """The search for one source; `open` are `(ids, log-probability, place in its step, row)`.

    The row is that of its parent among the hypotheses that were open before.
    """

    def __init__(self, task, source):
        self.source = np.asarray(source, "int32")
        self.sampler = task.sampler
        self.rules = task.generation["rules"]
        ends = task.generation["end_id"]
        self.end_ids = tuple(np.atleast_1d(-1 if ends is None else ends).tolist())
        self.most = task.room(len(source))
        self.open = [([task.generation["start_id"]], 0.0, -1, 0)]
        self.finished = []  # (score, path)
        self.steps = []  # what is found
        self.paths = []  # of each candidate, the places in each step
        self.going = True

    def newest(self):
        """The last ids of the open hypotheses, as many as beams: `(beams,)` int32."""
        last = [ids[-1] for ids, *_ in self.open]
        return np.resize(np.array(last, "int32"), self.sampler.beams)

    def extend(self, logits):
        """Takes the logits `(beams, V)` of the next token; returns the parents' rows `(beams,)`."""
        beams, n = self.sampler.beams, len(self.steps) + 1
        if not self.going:
            return np.arange(beams)
        logits = logits[: len(self.open)]
        count = beams * (1 + len(self.end_ids)) if beams > 1 else 1
        scores = np.asarray(ops.convert_to_numpy(self._rated(logits, n)), "float64")
        total = np.array([score for _, score, *_ in self.open])[:, None] + scores
        flat = total.ravel()
        best = np.argpartition(-flat, min(count, flat.size) - 1)[:count]
        flat = best[np.lexsort((best, -flat[best]))]  # of equal ones the first
        step, paths, kept = [], [], []
        for rank, place in enumerate(flat.tolist()):
            row, token = divmod(place, total.shape[1])
            ids, _, parent, _ = self.open[row]
            value = float(total[row, token])
            path = [*(self.paths[-1][parent] if parent >= 0 else []), rank]
            ended = token in self.end_ids or n == self.most
            state, score = DROPPED, None
            if ended and rank < beams:
                state, score = FINISHED, value / float(self.sampler.penalty_of(n))
                self.finished.append((score, path))
            elif not ended and len(kept) < beams:
                state = OPEN
                kept.append(([*ids, token], value, rank, row))
            step.append([parent, token, value, state, score])
            paths.append(path)
        self.steps.append(step)
        self.paths.append(paths)
        self.open = kept or self.open  # of a search that is over, whatever stays is not looked at
        self.finished = sorted(self.finished, key=lambda one: -one[0])[:beams]
        self.going = bool(kept) and n < self.most and self._may_improve(n)
        return np.resize([row for *_, row in self.open], beams)

    def _rated(self, logits, n):
        scores = ops.log_softmax(ops.convert_to_tensor(logits), axis=-1)
        ids = ops.convert_to_tensor(np.array([ids for ids, *_ in self.open], "int32"))
        past = Past(ids, n, n - 1, self.end_ids)
        for rule in self.rules:
            scores = rule(scores, past)
        return scores

    def _may_improve(self, n):
        """As of `BeamSearch`: whether an open hypothesis could still win."""
        if not self.finished:
            return True
        best, worst = self.finished[0][0], self.finished[-1][0]
        is_full = len(self.finished) == self.sampler.beams
        if self.sampler.early_stopping is True:
            return not is_full
        open_ = self.open[0][1]
        if self.sampler.early_stopping is False:
            return not is_full or open_ / float(self.sampler.penalty_of(n)) > worst
        return open_ / float(self.sampler.penalty_of(self.most)) > best

    def found(self):
        score, winner = self.finished[0] if self.finished else (None, [])
        return {"steps": self.steps, "winner": winner, "score": score}
