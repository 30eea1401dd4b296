"""The rival that decides before any call: from the text alone, how likely is it that only the large model will do?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slmkit.agent.decision import Ask, Decision, ModelDecider, Pricer, State, decide_all
from slmkit.models.base import Model


class TextRouter:
    """TF-IDF and logistic regression: P(large right) - P(small right), learnt from texts with known outcomes."""

    def __init__(self, max_features: int = 20_000, strength: float = 1.0) -> None:
        self.max_features, self.strength = max_features, strength

    def fit(self, texts: Sequence[str], small: Sequence[bool], large: Sequence[bool]) -> TextRouter:
        """Learn from texts and who was right on each."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.words = TfidfVectorizer(ngram_range=(1, 2), min_df=2 if len(texts) > 200 else 1, sublinear_tf=True,
                                     max_features=self.max_features)  # fmt: skip
        known = self.words.fit_transform(texts)
        self.models = [self._learn(known, labels) for labels in (small, large)]
        return self

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """How much more likely the large model is right, -1 to 1, for each text."""
        seen = self.words.transform(texts)
        small, large = (model.predict_proba(seen)[:, 1] if not isinstance(model, float) else model
                        for model in self.models)  # fmt: skip
        return np.broadcast_to(np.asarray(large - small, float), (len(texts),)).copy()

    def _learn(self, known: Any, labels: Sequence[bool]) -> Any:
        from sklearn.linear_model import LogisticRegression

        labels = np.asarray(labels, dtype=bool)
        if labels.all() or not labels.any():
            return float(labels.mean())
        return LogisticRegression(C=self.strength, max_iter=400, solver="liblinear").fit(known, labels)


def crossfit(texts: Sequence[str], small: Sequence[bool], large: Sequence[bool], seed: int = 0, **options: Any
             ) -> np.ndarray:  # fmt: skip
    """Scores of each half by a router that was learnt on the other half."""
    rng = np.random.default_rng(seed)
    half = rng.permutation(len(texts)) % 2
    scores, texts = np.empty(len(texts)), np.asarray(texts, dtype=object)
    small, large = np.asarray(small, bool), np.asarray(large, bool)
    for side in (0, 1):
        learn, test = half != side, half == side
        scores[test] = (
            TextRouter(**options).fit(list(texts[learn]), small[learn], large[learn]).score(list(texts[test]))
        )
    return scores


class PreCall:
    """Each task goes to one of two models, by its first words; a `BatchDecider`."""

    def __init__(
        self, small: Model, large: Model, router: TextRouter, threshold: float, *, name: str = "pre-call router",
        price: Pricer | None = None, priced_at: str = "", **options: Any,
    ) -> None:  # fmt: skip
        self.name, self.router, self.threshold = name, router, threshold
        self.arms = {
            False: ModelDecider(small, price=price, priced_at=priced_at, role="small", **options),
            True: ModelDecider(large, price=price, priced_at=priced_at, role="large", **options),
        }
        self._known: dict[str, float] = {}

    def decide(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]], state: State) -> Decision:
        return self.decide_many([Ask(messages, tools, state)])[0]

    def decide_many(self, asks: Sequence[Ask]) -> list[Decision]:
        scores = self._scores([first_words(ask) for ask in asks])
        sides = [bool(score >= self.threshold) for score in scores]
        made: dict[int, Decision] = {}
        for side, arm in self.arms.items():
            places = [place for place, chosen in enumerate(sides) if chosen is side]
            made |= zip(places, decide_all(arm, [asks[place] for place in places]), strict=True)
        return [made[place] for place in range(len(asks))]

    def _scores(self, texts: Sequence[str]) -> list[float]:
        if new := list(dict.fromkeys(text for text in texts if text not in self._known)):
            self._known |= zip(new, self.router.score(new).tolist(), strict=True)
        return [self._known[text] for text in texts]


def first_words(ask: Ask) -> str:
    """What the user said first in this conversation."""
    messages = ask.state.history or ask.messages
    return next((str(message.get("content") or "") for message in messages if message["role"] == "user"), "")
