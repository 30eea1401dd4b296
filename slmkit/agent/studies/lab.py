"""The live part of notebook 04: tasks, models and every table of the world, each computed once and only when asked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from slmkit import config
from slmkit.agent import world
from slmkit.agent.routing import calibrate
from slmkit.agent.routing.routing import Routing
from slmkit.agent.studies import arms as shared
from slmkit.agent.studies import compute, forced, latency, mixed, recovery, specialists
from slmkit.agent.studies.arms import Arms
from slmkit.agent.tasks import Task
from slmkit.agent.teacher import goal_steps
from slmkit.agent.verdicts.steps import CODE_LLM, CODE_SLM
from slmkit.errors import InputError
from slmkit.models.reference import minis
from slmkit.parameters import Run

SPARSE = "gpt-oss-120b"
VOTES = {"smoke": (5,), "laptop": (3, 5), "full": (3, 5, 9, 16), "gpu": (3, 5, 9, 16)}


class Lab:
    """Both models on the world, as the notebook's parameters say; nothing is loaded before a table needs it."""

    def __init__(self, run: Run) -> None:
        self.run, self.parameters = run, run.parameters
        slm, llm = self.parameters["slm"], self.parameters["llm"]
        if slm == llm:
            raise InputError(f"slm and llm are both {slm!r}; name two models to compare")
        self.priced_as = self.parameters["slm_priced_as"], self.parameters["llm_priced_as"]
        self.references = tuple(self._reference(name) for name in (slm, llm))
        self.slm, self.llm = (shared.label(ref) for ref in self.references)

    def _reference(self, name: str, subject: str = shared.BOTH) -> str:
        return shared.reference(name, subject, self.run.folder.parent) if self.parameters["adapters"] else name

    def says(self) -> None:
        """Note what answers: minis without their adapter were never told of this world."""
        bare = [ref for ref in self.references if ref in minis()]
        if bare and self.parameters["adapters"]:
            self.run.note(
                f"No adapter for {', '.join(bare)} is at hand, so it answers untuned: `slmkit agent train` makes one."
            )

    @functools.cached_property
    def access(self) -> dict[str, str]:
        """What each tool of the world may do."""
        return {tool.name: tool.access for name in world.DOMAINS for tool in world.domain(name).tools}

    def tasks(self, split: str, n: int, length: int | None = None, wordings: str = "new") -> list[Task]:
        """Tasks of this run's seed."""
        return shared.tasks(split, n, self.run.seed, length, wordings)

    @functools.cached_property
    def test(self) -> list[Task]:
        return self.tasks("test", self.parameters["n_tasks"] or self.run.scale.n_tasks)

    @functools.cached_property
    def calibration(self) -> list[Task]:
        return self.tasks("calibration", self.run.scale.n_calibration)

    @functools.cached_property
    def extra(self) -> list[Task]:
        """More tasks in which a tool breaks, and more long ones, beside those of `test`: few come by chance."""
        n, known = max(2, len(self.test) // 4), {task.task_id for task in self.test}
        more = self.tasks("test", len(self.test) + 12 * n)
        broken = [task for task in more if task.kind == "tool_error" and task.task_id not in known][:n]
        lengths = (8, 10, 12)[: max(1, n // 2)]
        long = [task for length in lengths for task in self.tasks("test", -(-n // 3), length)]
        return [*broken, *long]

    @property
    def _traced(self) -> tuple[float, ...]:
        """Shares that the thresholds of the trace send on; two at smoke scale."""
        return mixed.TRACED if self.run.scale.evidence else (0.0, 0.3)

    @functools.cached_property
    def arms(self) -> Arms:
        small, large = (shared.load(ref, self.run.folder / "calls") for ref in self.references)
        stands_for = dict(zip((self.slm, self.llm), self.priced_as, strict=True))
        longest = 96 if self.run.scale.evidence else 40
        return Arms(small, large, shared.prices(stands_for), max_tokens=longest)

    @functools.cached_property
    def sparse(self) -> float:
        """Price of a sparse large model over that of the dense one, a token (three in, one out)."""
        rates = shared.prices({"dense": self.priced_as[1], "sparse": SPARSE}).rates
        dense_usd, sparse_usd = (0.75 * rates[name][0] + 0.25 * rates[name][1] for name in ("dense", "sparse"))
        return sparse_usd / dense_usd

    def sparse_price(self) -> pd.DataFrame:
        """`sparse` as a table of one row: model, ratio."""
        return pd.DataFrame([{"model": SPARSE, "dense": self.priced_as[1], "ratio": self.sparse}])

    def preview(self) -> pd.DataFrame:
        """One task of each kind: what is asked first, how many calls the goal makes, how it ends."""
        rows = {}
        for task in self.tasks("test", 200):
            rows.setdefault((task.domain, task.kind), {
                "domain": task.domain, "kind": task.kind, "asked": task.turns[0].text[:110], "calls": task.n_calls,
                "tools": ", ".join(dict.fromkeys(call["name"] for call in task.goal))[:70], "end": task.turns[-1].end,
            })  # fmt: skip
        return pd.DataFrame(rows.values()).sort_values(["domain", "kind"], ignore_index=True)

    @functools.cached_property
    def _calibrated(self) -> tuple[Routing, pd.DataFrame, pd.DataFrame]:
        table = mixed.signal_table(self.arms, self.calibration)
        names = tuple(_portable(ref) for ref in self.references)
        target, value = "budget", self.parameters["budget"]
        routing, tried = mixed.calibrated(
            self.arms, self.calibration, table, self.access, names, target, value, self.run.seed, self._traced
        )
        routing.write(self.run.folder / "routing.json")
        return routing, tried, table

    @property
    def routing(self) -> Routing:
        """The calibrated routing; it is written to `routing.json`, for `slmkit serve`."""
        return self._calibrated[0]

    def tried(self) -> pd.DataFrame:
        """What each threshold gave on the calibration tasks."""
        return self._calibrated[1]

    def signals(self) -> pd.DataFrame:
        """Signals of the small model's replies on calibration states, with their risk."""
        routing, _, table = self._calibrated
        risk = routing.scorer.risks(table) if routing.scorer else 0.0
        return table.drop(columns="error").assign(risk=risk)

    def runs(self) -> pd.DataFrame:
        """Every arm on the test tasks, with the goal's writes; three of them on the tasks of `extra` too."""
        routing, _, table = self._calibrated
        levels, mixes = calibrate.thresholds(routing, table, self._traced), 3 if self.run.scale.evidence else 1
        whole = mixed.runs(self.arms, self.test, routing, levels, self.run.seed, mixes)
        three = {
            mixed.SLM: self.arms.alone(self.arms.small, "small"),
            mixed.LLM: self.arms.alone(self.arms.large, "large"),
            mixed.CHOSEN: self.arms.cascade(routing),
        }
        more = [self.arms.run(f"extra: {arm}", one, self.extra).assign(arm=arm) for arm, one in three.items()]
        known = [
            self.arms.run(f"known: {arm}", three[arm], self.calibration).assign(arm=arm) for arm in list(three)[:2]
        ]
        rival = mixed.pre_call(self.arms, self.test, self.calibration, pd.concat(known), mixed.share_of(whole))
        found = pd.concat([whole, rival, *more], ignore_index=True)
        found["extra"] = found["task_id"].isin({task.task_id for task in self.extra})
        return found.merge(shared.goal_writes([*self.test, *self.extra], self.access), on="task_id", how="left")

    def reworded(self) -> pd.DataFrame:
        """Both models alone on as many test tasks in the wordings of training; columns of `Arms.run`."""
        tasks = self.tasks("test", len(self.test), wordings="known")
        pair = ((mixed.SLM, self.arms.small), (mixed.LLM, self.arms.large))
        parts = [self.arms.run(f"{arm}, known wordings", self.arms.alone(model, arm.split()[0]), tasks)
                 for arm, model in pair]  # fmt: skip
        return pd.concat(parts, ignore_index=True)

    def shares(self) -> pd.DataFrame:
        """Steps of the chosen cascade: kind, who answered, why it escalated. After `runs`."""
        self.ran()
        return mixed.shares(self.arms)

    def order(self) -> pd.DataFrame:
        """Calls made in the goal's order, by arm and task. After `runs`."""
        self.ran()
        arms = (mixed.SLM, mixed.LLM, mixed.CHOSEN)
        parts = [recovery.in_order(self.test, self.arms.outcomes[arm], arm) for arm in arms]
        return pd.concat(parts, ignore_index=True)

    def steps(self) -> pd.DataFrame:
        """Both models on the goal's way of the test tasks, a row a step and model."""
        goal = goal_steps(self.test)
        pair = ((self.arms.small, "slm"), (self.arms.large, "llm"))
        parts = [forced.steps(self.test, goal, model, role, max_tokens=self.arms.max_tokens) for model, role in pair]
        return pd.concat(parts, ignore_index=True)

    def code(self) -> pd.DataFrame:
        """Both models as errand runners of a fixed graph, on the test tasks."""
        arms = ((CODE_SLM, self.arms.small, "small"), (CODE_LLM, self.arms.large, "large"))
        made = []
        for arm, model, role in arms:
            made.append(self.arms.run(arm, self.arms.alone(model, role), self.test, agency="code"))
        return pd.concat(made, ignore_index=True)

    def compute(self, joules_per_token: Callable[[str, int, int], float]) -> pd.DataFrame:
        """Test-time compute on the first half of the test tasks; `joules_per_token` as `compute.with_energy` has it."""
        table = compute.runs(self.arms, self.test[: max(2, len(self.test) // 2)], VOTES[self.run.scale.name])
        return compute.with_energy(table, joules_per_token, *self.priced_as)

    def specialists(self) -> pd.DataFrame:
        """Router over two specialists; no rows where the adapters of the single domains are missing."""
        slm = self.parameters["slm"]
        known = {domain: self._reference(slm, domain) for domain in world.DOMAINS}
        if any(ref == slm for ref in known.values()):
            how = "`slmkit agent train` makes them"
            self.run.note(f"No adapters of single domains for {slm}: claim A2.7 is left out; {how}.")
            return pd.DataFrame(columns=["arm", "task_id", "domain", "reward", "usd", "picked", "routed_right"])
        models = {domain: shared.load(ref, self.run.folder / "calls") for domain, ref in known.items()}
        return specialists.runs(self.arms, models, self.test, self.calibration)

    def latency(self) -> pd.DataFrame:
        """Seconds of single calls on questions that the chosen cascade met. After `runs`."""
        self.ran()
        n = {"smoke": 3, "laptop": 40}.get(self.run.scale.name, 200)
        watched = [ask for ask, _ in goal_steps(self.test[: max(2, n // 2)])][:n]
        decisions = self.arms.cascade(self.routing).decide_many(watched)
        escalated = [bool(decision.escalated_because) for decision in decisions]
        bare = [getattr(model, "model", model) for model in (self.arms.small, self.arms.large)]
        return latency.timed(watched, escalated, *bare, max_tokens=self.arms.max_tokens)

    def ran(self) -> None:
        """Make sure that the arms have run: what they did is needed, and not only their table."""
        if mixed.CHOSEN not in self.arms.outcomes:
            self.runs()


def _portable(ref: str) -> str:
    """A reference without folders of this machine, where the adapter lies in this project."""
    base, plus, folder = ref.partition("+")
    return f"{base}+{_short(Path(folder))}" if plus else ref


def _short(folder: Path) -> str:
    root = config.root()
    inside = root is not None and folder.resolve().is_relative_to(root)
    return str(folder.resolve().relative_to(root)) if inside else str(folder.resolve())  # type: ignore[arg-type]


def writes(table: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Right and wrong writes by arm: arm, tasks, wrong, wrong_tasks, wrong_irreversible, right, goal, confirmations."""
    rows = []
    for arm in arms:
        part = table[(table["arm"] == arm) & ~table["extra"].astype(bool)]
        rows.append({
            "arm": arm, "tasks": len(part), "wrong_tasks": int((part["wrong_writes"] > 0).sum()),
            "wrong": int(part["wrong_writes"].sum()), "wrong_irreversible": int(part["wrong_irreversible"].sum()),
            "right": int(part["right_writes"].sum()), "goal": int(part["goal_writes"].sum()),
            "confirmations": int(part["confirmations"].sum()),
        })  # fmt: skip
    return pd.DataFrame(rows)
