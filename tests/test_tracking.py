"""W&B: offline unless asked, files in the run folder, no chatter, nothing that needs a network."""

import pandas as pd

from slmkit import tracking


def test_offline_is_the_default(monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    assert tracking.mode() == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert tracking.mode() == "disabled"


def test_an_offline_run_lies_in_its_folder_and_is_quiet(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "pass" / "smoke" / "01_capability"
    folder.mkdir(parents=True)
    tracker = tracking.Tracker(folder, "01_capability", "smoke", {"seed": 1})
    tracker.table("rows", pd.DataFrame({"x": [1.0, None], "what": ["a", None], "many": [[1], [2]]}))
    tracker.summary({"verdict/V1": "holds"})
    (folder / "results.json").write_text("{}")
    tracker.artifact("results", "results", folder / "results.json")
    assert tracker.run.group == "pass" and tracker.run.tags == ("smoke",)
    tracker.finish()
    assert list(folder.rglob("*.wandb")), "the offline run, for `wandb sync`"
    out, err = capfd.readouterr()
    assert "wandb" not in (out + err).lower()
