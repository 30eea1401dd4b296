"""The agent loop: one canonical conversation a task, a decision a step, effects only after the step is on disk.

Many tasks go in step, so that one batch of model calls serves them all. Nothing that a model answers or a tool does
ends the run: each task ends in success, a refusal, or a recorded reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from slmkit.agent.decision import Decider, decide_all
from slmkit.agent.defence import Defence
from slmkit.agent.episode import Episode
from slmkit.agent.graph import GraphEpisode
from slmkit.agent.guard import Limits
from slmkit.agent.outcome import Outcome
from slmkit.agent.tasks import Task
from slmkit.agent.trace import Trace, lines_of, trace_id
from slmkit.agent.view import View
from slmkit.agent.world import World
from slmkit.errors import unknown

Agency = Literal["lm", "code"]
EPISODES: dict[str, type[Episode]] = {"lm": Episode, "code": GraphEpisode}  # by agency
DEFENCE = Defence()


def run_task(
    task: Task,
    decider: Decider,
    world: World | None = None,
    limits: Limits | None = None,
    trace: str | Path | None = None,
    **options: Any,
) -> Outcome:
    """One trial of one task; options as in `run_tasks`."""
    return run_tasks([task], decider, world, limits, trace, progress=False, **options)[0]


def run_tasks(
    tasks: Iterable[Task],
    decider: Decider,
    world: World | None = None,
    limits: Limits | None = None,
    trace: str | Path | None = None,
    *,
    trials: int = 1,
    view: View | None = None,
    agency: Agency = "lm",
    defence: Defence | None = DEFENCE,
    databases: str | Path | None = None,
    batch: int = 128,
    progress: bool = True,
    on_step: Callable[[Episode], None] | None = None,
) -> list[Outcome]:
    """The outcomes of `trials` trials of each task, in the order of tasks and then trials.

    With a `trace` each step is on disk before it has an effect, and steps found there are not decided again. With
    `databases` (a folder) each trial keeps its database there, and a write that an earlier run made is not made
    again; without, databases live in memory and are rebuilt from the trace. In `lm` agency a root model chooses
    each step; in `code` agency a fixed graph asks models for errands (`slmkit.agent.graph`). `batch` tasks are
    open at a time. Without a `defence` (None) foreign text reaches the models, and writes after it need no word of the
    user.
    """
    from tqdm import tqdm

    if agency not in EPISODES:
        raise unknown("agency", agency, EPISODES)
    world, limits, view, kind = world or World(), limits or Limits(), view or View(), EPISODES[agency]
    todo = [(task, trial) for task in tasks for trial in range(trials)]
    outcomes: list[Outcome | None] = [None] * len(todo)
    with ExitStack() as stack:
        log = stack.enter_context(Trace(trace)) if trace is not None else None
        known = log.decisions(decider.name) if log else {}
        hidden = {} if progress else {"disable": True}
        bar = stack.enter_context(tqdm(total=len(todo), desc=decider.name, unit="task", delay=1, **hidden))
        waiting = list(enumerate(todo))[::-1]
        active: list[tuple[int, Episode]] = []
        while waiting or active:
            while waiting and len(active) < batch:
                place, (task, trial) = waiting.pop()
                recorded = known.get(trace_id(task.task_id, trial), [])
                episode = kind(task, trial, world, limits, view, recorded, databases, defence)
                episode.replay()
                active.append((place, episode))
            _step([episode for _, episode in active if not episode.over], decider, log, on_step)
            for place, episode in active:
                if episode.over:
                    outcomes[place] = episode.outcome()
                    bar.update()
            active = [(place, episode) for place, episode in active if not episode.over]
    return outcomes  # type: ignore[return-value]


def _step(
    episodes: Sequence[Episode], decider: Decider, log: Trace | None, on_step: Callable[[Episode], None] | None
) -> None:
    """One step of each: decide together, write all down, then act."""
    asks = [episode.ask() for episode in episodes]
    if not asks:
        return
    decisions = decide_all(decider, asks)
    if log:
        pairs = zip(asks, decisions, strict=True)
        log.append(line for ask, decision in pairs for line in lines_of(ask, decision, decider.name))
    for episode, decision in zip(episodes, decisions, strict=True):
        episode.apply(decision)
        if on_step:
            on_step(episode)
