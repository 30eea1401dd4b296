"""Scoring a file of answers: both forms of rows, a verdict for each, and one clear line for a bad file."""

import gzip
import json

import pytest

from slmkit import config
from slmkit.capability.answers import score_answers
from slmkit.errors import InputError
from slmkit.stats import wilson


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def bfcl(tmp_path):
    """A BFCL folder with three categories, one of them packed."""
    folder = tmp_path / "bfcl"
    (folder / "possible_answer").mkdir(parents=True)
    schema = {"properties": {"n": {"type": "integer"}, "x": {"type": "float"}}, "required": ["n"]}
    tools = [{"name": "math.fact", "parameters": schema}]
    ids = [f"simple_python_{index}" for index in range(3)]
    gold = [{"math.fact": {"n": [5], "x": [5, ""]}}]
    (folder / "BFCL_v4_simple_python.json").write_text(lines({"id": i, "function": tools} for i in ids))
    (folder / "possible_answer/BFCL_v4_simple_python.json").write_text(
        lines({"id": i, "ground_truth": gold} for i in ids)
    )
    packed = gzip.compress(lines([{"id": "live_irrelevance_0-0-0", "function": []}]).encode())
    (folder / "BFCL_v4_live_irrelevance.json.gz").write_bytes(packed)
    java = [{"name": "A.b", "parameters": {"properties": {"x": {"type": "long"}}, "required": ["x"]}}]
    (folder / "BFCL_v4_simple_java.json").write_text(lines([{"id": "simple_java_0", "function": java}]))
    (folder / "possible_answer/BFCL_v4_simple_java.json").write_text(
        lines([{"id": "simple_java_0", "ground_truth": [{"A.b": {"x": [5]}}]}])
    )
    return folder


@pytest.fixture
def answers(tmp_path):
    def write(rows, name="answers.jsonl"):
        path = tmp_path / name
        data = lines(rows).encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


def right(index, **arguments):
    return {"id": f"simple_python_{index}", "model_output": [{"math.fact": {"n": 5, **arguments}}]}


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.jsonl.gz"])
def test_one_verdict_a_row_and_a_share_for_each_category(bfcl, answers, name):
    rows = [
        {"id": "live_irrelevance_0-0-0", "result": "None of these helps."},
        right(0),
        {"id": "simple_python_1", "result": "[math.fact(n=5, x=5)]"},
        {"id": "simple_python_2", "result": [{"math_fact": '{"n": 5.0}'}]},
    ]
    found = score_answers(answers(rows, name), bfcl)
    assert [(row["id"], row["category"], row["valid"]) for row in found["rows"]] == [
        ("live_irrelevance_0-0-0", "live_irrelevance", True),
        ("simple_python_0", "simple_python", True),
        ("simple_python_1", "simple_python", True),
        ("simple_python_2", "simple_python", False),
    ]
    assert found["rows"][3]["error_type"] == "type_error:simple"
    assert found["rows"][3]["error"] == "wrong_argument_type"
    low, high = wilson(2, 3)
    python, irrelevance = found["summary"]
    assert python == {
        "category": "simple_python",
        "n": 3,
        "correct": 2,
        "estimate": 2 / 3,
        "low": low,
        "high": high,
    }
    assert irrelevance["category"] == "live_irrelevance" and irrelevance["estimate"] == 1.0
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "row, error",
    [
        ({"model_output": [{"math.fact": {"n": 5}}]}, None),
        ({"model_output": [{"math_fact": {"n": 5}}]}, "wrong_tool"),  # names as given, in this form
        ({"model_output": [{"math.fact": {"n": 5.0}}]}, "wrong_argument_type"),  # 5.0 stays a float
        ({"model_output": [{"math.fact": {"n": 5, "x": 5}}]}, None),
        ({"model_output": None}, "invalid_syntax"),
        ({"model_output": None, "result": "[math.fact(n=5)]"}, "invalid_syntax"),
        ({"model_output": "text"}, "invalid_syntax"),
        ({"model_output": []}, "missed_call"),
        ({"result": "[math.fact(n=5)"}, None),  # the missing bracket is added, as officially
        ({"result": "sorry"}, "invalid_syntax"),
        ({"result": [{"math.fact": "{"}]}, "invalid_syntax"),
        ({"result": []}, "missed_call"),
        ({"result": None}, "invalid_syntax"),
    ],
)
def test_both_forms(bfcl, answers, row, error):
    path = answers([{"id": "simple_python_0", **row}])
    found = score_answers(path, bfcl, partial=True)["rows"][0]
    assert (found["valid"], found["error"]) == (error is None, error)


def test_java_text_is_kept_as_source(bfcl, answers):
    for result, valid in [("[A.b(x=5L)]", True), ("[A.b(x=5)]", False), ([{"A_b": '{"x": "5L"}'}], True)]:
        path = answers([{"id": "simple_java_0", "result": result}])
        assert score_answers(path, bfcl)["rows"][0]["valid"] is valid


@pytest.mark.parametrize(
    "rows, complaint",
    [
        ([], "no answers"),
        ([right(0), right(1)], r"no answer to 1 of 3 entries of simple_python \(simple_python_2\)"),
        ([right(0), right(1), right(2), right(1)], "row 4: id 'simple_python_1' again, after row 2"),
        ([right(0), right(9)], "row 2: unknown BFCL id 'simple_python_9': did you mean 'simple_python_.'"),
        (
            [{"id": "simple_pyton_0", "model_output": []}],
            "row 1: unknown BFCL category 'simple_pyton'.*simple_python",
        ),
        ([{"id": "multi_turn_base_0", "result": []}], "row 1: unknown BFCL category 'multi_turn_base'"),
        ([{"id": 5, "model_output": []}], "row 1: `id` is missing"),
        ([{"model_output": []}], "row 1: `id` is missing"),
        ([{"id": "simple_python_0"}], "row 1 .simple_python_0.: neither `model_output` nor `result`"),
    ],
)
def test_a_bad_file_is_one_line(bfcl, answers, rows, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        score_answers(answers(rows), bfcl)
    assert "answers.jsonl" in str(caught.value) and "\n" not in str(caught.value)


def test_a_part_may_be_scored(bfcl, answers):
    assert score_answers(answers([right(1)]), bfcl, partial=True)["summary"][0]["n"] == 1


def test_verify_counts_agreement_and_shows_the_rest(bfcl, answers):
    rows = [
        {**right(0), "valid": True},
        {**right(0), "valid": False},  # ids may repeat
        {**right(1, x=6), "valid": False},
        {**right(1), "valid": None, "raises": "KeyError"},
    ]
    found = score_answers(answers(rows), bfcl, verify=True)
    assert (found["n"], found["agree"], len(found["disagree"])) == (4, 2, 2)
    assert {key: found["disagree"][0][key] for key in ("id", "valid", "expected")} == {
        "id": "simple_python_0",
        "valid": True,
        "expected": False,
    }
    with pytest.raises(InputError, match=r"row 1 .*`valid` has to be true or false"):
        score_answers(answers([right(0)]), bfcl, verify=True)


@pytest.mark.data
def test_all_official_verdicts_agree_through_the_file():
    vectors = config.dataset("bfcl_checker_vectors") / "vectors.jsonl.gz"
    found = score_answers(vectors, config.dataset("bfcl"), verify=True)
    assert found == {"n": 9508, "agree": 9508, "disagree": []}
