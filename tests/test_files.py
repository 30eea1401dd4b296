"""Files: broken lines are named, and nothing half-written is left behind."""

import gzip
import json

import pytest

from slmkit import files
from slmkit.errors import InputError, unknown


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_jsonl_round_trip(tmp_path, name):
    rows = [{"text": "naïve 日本", "n": 5.0}, {"n": 5}]
    text = "".join(json.dumps(row) + "\n\n" for row in rows)
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    found = list(files.read_jsonl(path))
    assert found == rows
    assert isinstance(found[0]["n"], float) and isinstance(found[1]["n"], int)


@pytest.mark.parametrize("line, complaint", [('{"a": 1', "not JSON"), ("[1, 2]", "expected a JSON object, found list")])
def test_a_broken_line_is_named_by_file_and_line(tmp_path, line, complaint):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n' + line + "\n")
    with pytest.raises(InputError, match=rf"rows\.jsonl:2: {complaint}"):
        list(files.read_jsonl(path))


def test_a_truncated_archive_is_one_line(tmp_path):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n' * 500)[:-20])
    with pytest.raises(InputError, match=r"rows\.jsonl\.gz: cannot be read"):
        list(files.read_jsonl(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list(files.read_jsonl(tmp_path / "none.jsonl"))


def test_a_failed_write_keeps_the_old_file_and_no_other(tmp_path):
    path = files.write_json(tmp_path / "deep" / "result.json", {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"a": float("nan")})

    def rows():
        yield {"a": 1}
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError):
        files.write_jsonl(path, rows())
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_either_prefers_the_plain_file(tmp_path):
    (tmp_path / "a.json.gz").touch()
    assert files.either(tmp_path, "a.json").name == "a.json.gz"
    (tmp_path / "a.json").touch()
    assert files.either(tmp_path, "a.json").name == "a.json"


def test_sha256_of_known_bytes(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert files.sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_unknown_names_the_nearest_or_all():
    assert "did you mean 'laptop'?" in str(unknown("scale", "labtop", ["smoke", "laptop"]))
    assert "known: laptop, smoke" in str(unknown("scale", "zzz", ["smoke", "laptop"]))
