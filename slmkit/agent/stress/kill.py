"""A run that is killed at any moment, and gone on with: `python -m slmkit.agent.stress.kill FOLDER N SEED [DELAY_S]`.

The process plays tasks with the oracle, a trace and databases in FOLDER. Whoever starts it may kill it (SIGKILL) and
start it again; `trial` does so at a random moment and looks at what is left.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from slmkit import files
from slmkit.agent.generate import make_tasks
from slmkit.agent.loop import run_tasks
from slmkit.agent.oracle import Oracle
from slmkit.agent.stress.faults import whole
from slmkit.agent.tasks import Task
from slmkit.agent.world import World


def play(folder: Path, n: int, seed: int, delay_s: float = 0.0) -> None:
    """Play the tasks to their end, going on with what lies in `folder`; the outcomes go to `done.json`."""
    tasks = tasks_of(n, seed)

    def wait(_: Any) -> None:
        time.sleep(delay_s)

    outcomes = run_tasks(
        tasks, Oracle(tasks), trace=folder / "trace.jsonl", databases=folder, progress=False, batch=4, on_step=wait
    )
    files.write_json(folder / "done.json", [[outcome.task_id, outcome.reward] for outcome in outcomes])


def tasks_of(n: int, seed: int) -> list[Task]:
    return make_tasks("calibration", n, seed=seed)


def trial(folder: Path, n: int = 8, seed: int = 0, moment: float = 0.5, delay_s: float = 0.004) -> dict[str, Any]:
    """Kill a run at a share `moment` of its way, look, go on with it, look again.

    Returns counts: `steps_before` on file at the kill, `torn` lines mended, `lost` steps (in a database but not in the
    trace), `half_applied` databases, `repeated` steps in the trace, `repeated_writes`; and `success`, the share of
    tasks that succeed after going on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "slmkit.agent.stress.kill", str(folder), str(n), str(seed), str(delay_s)]
    steps = sum(task.n_calls + len(task.turns) for task in tasks_of(n, seed))
    process = subprocess.Popen(command)
    _kill_at(process, folder / "trace.jsonl", round(moment * steps))
    found = look(folder, n, seed)
    subprocess.run([*command[:-1], "0"], check=True)
    after = look(folder, n, seed)
    rewards = [reward for _, reward in json.loads((folder / "done.json").read_text(encoding="utf-8"))]
    return {
        "steps_before": found["steps"],
        "torn": found["torn"],
        "lost": found["lost"] + after["lost"] + after["torn"],
        "half_applied": found["half_applied"] + after["half_applied"],
        "repeated": after["repeated"],
        "repeated_writes": after["repeated_writes"],
        "success": sum(rewards) / n,
    }


def _kill_at(process: subprocess.Popen, trace: Path, lines: int) -> None:
    """Kill when so many lines are on file and a random instant more has passed."""
    while process.poll() is None:
        if trace.exists() and trace.read_bytes().count(b"\n") >= lines:
            break
        time.sleep(0.0005)
    time.sleep(Random(lines).random() * 0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()


def look(folder: Path, n: int, seed: int) -> dict[str, int]:
    """What lies in the folder of a run."""
    lines = (folder / "trace.jsonl").read_bytes().split(b"\n") if (folder / "trace.jsonl").exists() else [b""]
    ids = [json.loads(line)["call_id"] for line in lines[:-1]]
    on_file = {call_id.rpartition("/")[0] for call_id in ids}
    found = {"steps": len(ids), "torn": int(lines[-1] != b""), "repeated": len(ids) - len(set(ids))}
    lost = half = again = 0
    for task in tasks_of(n, seed):
        if not (folder / f"{task.task_id}-0.sqlite").exists():
            continue
        session = World().open(task, 0, folder)
        keys = [row[0] for row in session.connection.execute("SELECT key FROM journal")]  # type: ignore[attr-defined]
        lost += sum(key.rpartition("/")[0] not in on_file for key in keys)
        half += not whole(session)  # type: ignore[arg-type]
        writes = session.connection.execute("SELECT changes FROM journal WHERE changes <> '[]'").fetchall()  # type: ignore[attr-defined]
        goal = Counter(call["name"] for call in task.goal if session.access[call["name"]] != "read")
        again += max(0, len(writes) - sum(goal.values()))
        session.close()
    return {**found, "lost": lost, "half_applied": half, "repeated_writes": again}


if __name__ == "__main__":
    where, count, dice, *rest = sys.argv[1:]
    play(Path(where), int(count), int(dice), float(rest[0]) if rest else 0.0)
