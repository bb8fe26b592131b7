"""A beam search that is watched: which hypotheses it kept, and which fell, and why."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_transformer.generation.anatomy import Anatomy
from keras_transformer.generation.rules import Past
from keras_transformer.tasks.translator import Translator

DROPPED, OPEN, FINISHED = range(3)


def beams_of(task: Translator, sources: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """The beam search of each source, step by step, as `generation.BeamSearch` does it.

    Here all is computed again at each step and kept; the search itself does neither.

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
    groups: dict[int, list[_Search]] = {}
    for search in searches:  # those of one length together: no source needs padding
        groups.setdefault(len(search.source), []).append(search)
    for group in groups.values():
        source_ids = ops.convert_to_tensor(np.stack([search.source for search in group]))
        memory, mask = anatomy.encode(source_ids)
        while any(search.going for search in group):
            rows, places = [], []
            for place, search in enumerate(group):
                if search.going:
                    rows += [ids for ids, _, _ in search.open]
                    places += [place] * len(search.open)
            chosen = [
                None if x is None else ops.take(x, places, axis=0)
                for x in (source_ids, memory, mask)
            ]
            logits = anatomy.decode(ops.convert_to_tensor(np.array(rows, "int32")), *chosen)
            logits = np.asarray(ops.convert_to_numpy(ops.cast(logits[:, -1], "float32")))
            for place, search in enumerate(group):
                if search.going:
                    search.extend(logits[np.array(places) == place])
    return [search.found() for search in searches]


class _Search:
    """The search for one source; `open` are `(ids, log-probability, place in its step)`."""

    def __init__(self, task, source):
        self.source = np.asarray(source, "int32")
        self.sampler = task.sampler
        self.rules = task.generation["rules"]
        ends = task.generation["end_id"]
        self.end_ids = tuple(np.atleast_1d(-1 if ends is None else ends).tolist())
        self.most = task.room(len(source))
        self.open = [([task.generation["start_id"]], 0.0, -1)]
        self.finished = []  # (score, path)
        self.steps = []  # what is found
        self.paths = []  # of each candidate, the places in each step
        self.going = True

    def extend(self, logits):
        """Takes the logits `(open, V)` of the next token of each open hypothesis."""
        beams, n = self.sampler.beams, len(self.steps) + 1
        count = beams * (1 + len(self.end_ids)) if beams > 1 else 1
        scores = np.asarray(ops.convert_to_numpy(self._rated(logits, n)), "float64")
        total = np.array([score for _, score, _ in self.open])[:, None] + scores
        flat = np.argsort(-total.ravel(), kind="stable")[:count]
        step, paths, kept = [], [], []
        for rank, place in enumerate(flat.tolist()):
            row, token = divmod(place, total.shape[1])
            ids, _, parent = self.open[row]
            value = float(total[row, token])
            path = [*(self.paths[-1][parent] if parent >= 0 else []), rank]
            ended = token in self.end_ids or n == self.most
            state, score = DROPPED, None
            if ended and rank < beams:
                state, score = FINISHED, value / float(self.sampler.penalty_of(n))
                self.finished.append((score, path))
            elif not ended and len(kept) < beams:
                state = OPEN
                kept.append(([*ids, token], value, rank))
            step.append([parent, token, value, state, score])
            paths.append(path)
        self.steps.append(step)
        self.paths.append(paths)
        self.open = kept
        self.finished = sorted(self.finished, key=lambda one: -one[0])[:beams]
        self.going = bool(kept) and n < self.most and self._may_improve(n)

    def _rated(self, logits, n):
        scores = ops.log_softmax(ops.convert_to_tensor(logits), axis=-1)
        ids = ops.convert_to_tensor(np.array([ids for ids, _, _ in self.open], "int32"))
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
