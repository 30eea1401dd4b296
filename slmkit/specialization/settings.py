"""Everything that decides the outcome of a fine-tuning run beside base, rows and seed of the data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from slmkit.errors import InputError, unknown

METHODS = ("lora", "full")
ORDERS = ("shuffled", "curriculum")

RATE = 2e-4  # of an adapter on a base of RATE_SIZE or more: Dettmers et al. 2023 (QLoRA), 7 and 13 bn
RATE_SIZE = 1e9
RATE_POWER = 0.6  # leads from there to 0.012 at mini-1m's size: of 0.002 to 0.02 the best there by loss after 80 steps
MOST_RATE = 0.012
FULL_SHARE = 0.25  # all weights take a quarter of an adapter's rate


@dataclass(frozen=True)
class Settings:
    """How to train. Rates are per step, shares fractions of the rows, lengths tokens.

    `steps=0` picks the number of steps from the number of rows (`n_steps`), `learning_rate=0` the rate from the size of
    the base (`rate`), `evaluate_every=0` six evaluations a run.
    Raises InputError, naming the field, for a value that cannot be meant.
    """

    method: str = "lora"
    rank: int = 16
    alpha: int = 32
    target_modules: str | tuple[str, ...] = "all-linear"
    steps: int = 0
    learning_rate: float = 0.0
    batch_size: int = 16
    seed: int = 0
    general_share: float = 0.0  # of the rows of a batch, drawn from what the base already does
    order: str = "shuffled"  # or curriculum: short answers over few tools first
    warmup_steps: int = 10
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    longest: int = 2048  # rows of more tokens are refused
    evaluate_every: int = 0
    validation_items: int = 64  # rows of the validation set that are answered at each evaluation
    patience: int = 0  # evaluations without a better reward before the run stops; 0 never
    gradient_checkpointing: bool = False
    load_in_4bit: bool = False  # QLoRA: needs CUDA and bitsandbytes

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        if self.order not in ORDERS:
            raise unknown("order", self.order, ORDERS)
        for name in ("rank", "alpha", "batch_size", "longest", "validation_items"):
            if getattr(self, name) < 1:
                raise InputError(f"settings: {name} must be at least 1, it is {getattr(self, name)}")
        for name in ("steps", "warmup_steps", "evaluate_every", "patience"):
            if getattr(self, name) < 0:
                raise InputError(f"settings: {name} must not be negative, it is {getattr(self, name)}")
        if not 0 <= self.general_share < 1:
            raise InputError(f"settings: general_share must lie in [0, 1), it is {self.general_share}")
        if not 0 <= self.learning_rate < math.inf:
            raise InputError(f"settings: learning_rate must not be negative, it is {self.learning_rate}")
        if self.load_in_4bit and self.method == "full":
            raise InputError("settings: load_in_4bit trains an adapter only; choose method='lora' or leave it out")

    def n_steps(self, n_rows: int) -> int:
        """Steps of a run over `n_rows` rows: as set, else growing with about the cube root of the rows.

        85 for 50 rows, 142 for 200 (under three minutes for mini-2m on two cores), 259 for 1,000.
        """
        return self.steps or max(20, round(85 * (max(n_rows, 1) / 50) ** 0.37))

    def rate(self, n_parameters: int) -> float:
        """The highest learning rate of a run: as set, else falling with the base's size.

        0.012 for mini-1m, 0.008 for mini-2m, 7e-4 at 135M, 2e-4 from 1 bn on; a quarter where all weights are trained.
        """
        adapter = min(MOST_RATE, RATE * max(1.0, (RATE_SIZE / n_parameters) ** RATE_POWER))
        return self.learning_rate or adapter * (FULL_SHARE if self.method == "full" else 1.0)

    def n_between(self, n_rows: int) -> int:
        """Steps between two evaluations."""
        return self.evaluate_every or max(1, self.n_steps(n_rows) // 6)

    def record(self) -> dict[str, Any]:
        """The settings as JSON."""
        return asdict(self)
