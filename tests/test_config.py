"""The dial, and where things lie."""

import pytest

from slmkit import config
from slmkit.errors import InputError


def test_sizes_grow_with_the_scale():
    smoke, laptop, full = (config.scale(name) for name in ("smoke", "laptop", "full"))
    assert smoke.n_bootstrap < laptop.n_bootstrap < full.n_bootstrap
    assert 0 < smoke.n_items < laptop.n_items < laptop.n_own and full.n_items == full.n_own == 0
    assert not smoke.evidence and laptop.evidence


def test_an_unknown_scale_names_the_nearest():
    with pytest.raises(InputError, match="did you mean 'laptop'"):
        config.scale("labtop")


def test_data_sets_are_found_where_the_user_says(tmp_path, monkeypatch):
    (tmp_path / "given" / "bfcl").mkdir(parents=True)
    (tmp_path / "variable" / "bfcl").mkdir(parents=True)
    monkeypatch.setenv("SLMKIT_DATA", str(tmp_path / "variable"))
    assert config.dataset("bfcl") == tmp_path / "variable" / "bfcl"
    assert config.dataset("bfcl", tmp_path / "given") == tmp_path / "given" / "bfcl"


def test_a_missing_data_set_names_the_command_that_gets_it(tmp_path, monkeypatch):
    monkeypatch.delenv("SLMKIT_DATA", raising=False)
    monkeypatch.setenv("SLMKIT_CACHE", str(tmp_path))
    assert not config.has_dataset("bfcl")
    with pytest.raises(InputError, match="slmkit data pull bfcl"):
        config.dataset("bfcl")


def test_a_named_folder_that_is_missing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("SLMKIT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="does not exist"):
        config.has_dataset("bfcl")


def test_shown_paths_hold_no_folder_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("SLMKIT_DATA", str(tmp_path / "sets"))
    (tmp_path / "sets" / "bfcl").mkdir(parents=True)
    assert config.display(tmp_path / "sets" / "bfcl" / "a.json") == "bfcl/a.json"
    assert config.display(config.root() / "data" / "x.csv") == "data/x.csv"
    assert config.display(tmp_path / "elsewhere" / "b.json") == "b.json"


def test_a_resource_that_is_not_there_is_one_line():
    with pytest.raises(InputError, match="reinstall slmkit"):
        config.resource("data/none")
