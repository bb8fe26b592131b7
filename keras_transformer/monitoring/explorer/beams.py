"""A beam search that is watched: which hypotheses it kept, and which fell, and why."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_transformer.generation.anatomy import Anatomy
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
    anatomy, beams = Anatomy(task.model), task.sampler.beams
    groups: dict[int, list[_Search]] = {}
    for search in searches:  # those of one length together: no source needs padding
        groups.setdefault(len(search.source), []).append(search)
    for group in groups.values():
        source_ids = ops.convert_to_tensor(np.stack([search.source for search in group]))
        memory, mask = anatomy.encode(source_ids)
        each = [None if x is None else ops.repeat(x, beams, axis=0) for x in (memory, mask)]
        source_ids = ops.repeat(source_ids, beams, axis=0)  # a row a hypothesis
        state, step, most = None, 0, group[0].most
        while any(search.going for search in group):
            ids = np.concatenate([search.newest() for search in group])  # (R,)
            with CacheScope(state, step, most) as scope:
                logits = anatomy.decode(ops.convert_to_tensor(ids[:, None]), source_ids, *each)
            logits = numpy_of(logits)[:, 0].reshape(len(group), beams, -1)
            parents = [search.extend(own) for search, own in zip(group, logits, strict=True)]
            rows = np.concatenate([beams * i + own for i, own in enumerate(parents)])
            past = keras.tree.map_structure(
                lambda x, rows=rows: ops.take(x, rows, axis=0), scope.state["past"]
            )
            state, step = {**scope.state, "past": past}, step + 1
    return [search.found() for search in searches]


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
        flat = np.argsort(-total.ravel(), kind="stable")[:count]
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
