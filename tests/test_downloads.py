"""Downloads against a local server: what is laid out reads like the real folders; failures leave nothing."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit import config, downloads
from slmkit.downloads import convert, registry, transfer
from slmkit.downloads.layout import LAYOUTS, wanted
from slmkit.errors import InputError
from slmkit.files import either, read_jsonl

DATA = os.environ.get("SLMKIT_DATA")  # as it was before the fixture below hides it
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/something"
PULLABLE = [name for name, layout in LAYOUTS.items() if layout.rules]

HALF = "\ud83d"  # half a surrogate pair: generated text has such, and UTF-8 has no form for it

Rows = dict[str, list]  # name in a data set's folder -> its rows: objects, or lists of cells for a table
Files = dict[str, bytes]  # path in a source's repository -> content


# ---- a source on this machine --------------------------------------------------------------------


class Upstream:
    """A local server of raw files with their registry and a log of requests; `faults` spoil an answer."""

    def __init__(self, folder: Path) -> None:
        self.files: Files = {}
        self.rows: list[dict] = []
        self.requests: list[str] = []
        self.faults: dict[str, Callable[[BaseHTTPRequestHandler, bytes], None]] = {}
        self.registry = folder / "upstream.csv"
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = unquote(self.path).removeprefix(f"/{REPOSITORY}/{COMMIT}/")
                upstream.requests.append(path)
                body = upstream.files.get(path)
                if path in upstream.faults:
                    upstream.faults[path](self, body)
                elif body is None:
                    self.send_error(404)
                else:
                    reply(self, body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def offer(self, name: str, files: Files, licence: str = "MIT") -> None:
        self.files |= files
        for path, body in files.items():
            row = {
                "dataset": name,
                "repository": REPOSITORY,
                "commit": COMMIT,
                "path": path,
                "bytes": len(body),
            }
            self.rows.append(row | {"sha256": hashlib.sha256(body).hexdigest(), "licence": licence})
        write_registry(self.registry, self.rows)

    def pull(self, names: str | list[str], into: Path | None = None) -> list[Path]:
        return downloads.pull(names, into, base_url=self.url, registry=self.registry)


def reply(handler: BaseHTTPRequestHandler, body: bytes, length: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


def write_registry(path: Path, rows: list[dict]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, no real cache, no data folder, no waiting."""
    for name in ("SLMKIT_DATA", "SLMKIT_DATA_URL", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(transfer, "BACKOFF_S", 0.0)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Upstream]:
    source = Upstream(tmp_path)
    yield source
    source.server.shutdown()
    source.server.server_close()


# ---- the same rows in the form of the source -----------------------------------------------------


def lines(rows: list[dict]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def listed(rows: list[dict]) -> bytes:
    text = json.dumps(rows, indent=2, ensure_ascii=False)
    return text.replace(HALF, json.dumps(HALF)[1:-1]).encode()


def table(rows: list[list]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def bfcl(rows: Rows) -> Files:
    folder = "berkeley-function-call-leaderboard/bfcl_eval/data/"
    beside = {
        f"{folder}BFCL_v4_memory.json": b"{}",
        f"{folder}possible_answer/BFCL_v4_web_search.json": b"{}",
    }
    return {folder + name.removesuffix(".gz"): lines(each) for name, each in rows.items()} | beside


def acebench(rows: Rows) -> Files:
    return {f"data_all/{name}": lines(each) for name, each in rows.items()}


def when2call(rows: Rows) -> Files:
    return {f"data/test/{name}": lines(each) for name, each in rows.items()}


def api_bank(rows: Rows) -> Files:
    samples = {f"api-bank/lv1-lv2-samples/{row['file']}": lines(row["turns"]) for row in rows["dialogues.jsonl"]}
    return samples | {
        "api-bank/data/all_apis.csv": table(rows["all_apis.csv"]),
        "api-bank/data/exceptions.json": b"[]",
    }


def nestful(rows: Rows) -> Files:
    prefixes = {"executable": "executable/", "glaive": "non-executable/non-executable-"}
    names = {name: prefixes[name.split("-")[0]] + name.replace(".jsonl", ".json") for name in rows}
    return {f"data/{names[name]}": listed(each) for name, each in rows.items()}


def toolalpaca(rows: Rows) -> Files:
    return {f"data/{name.replace('.jsonl', '.json')}": listed(each) for name, each in rows.items()}


def seal_tools(rows: Rows) -> Files:
    tools = {"tool.jsonl.gz", "tool_distractors.jsonl.gz"}
    records = {f"Seal-Tools_Dataset/{name}": lines(each) for name, each in rows.items() if name not in tools}
    definitions = lines(rows["tool_distractors.jsonl.gz"] + rows["tool.jsonl.gz"])
    old = {"Seal-Tools_Dataset/dataset_in_old_format/dev.jsonl": b"not wanted"}
    return records | {"Seal-Tools_Dataset/tool.jsonl": definitions} | old


def sgd(rows: Rows) -> Files:
    files = {}
    for name, split in (("train", "train"), ("validation", "dev"), ("test", "test")):
        first, *rest = rows[f"{name}.jsonl.gz"]
        files |= {f"{split}/dialogues_001.json": listed([first]), f"{split}/dialogues_002.json": listed(rest)}
    services = rows["schema.jsonl"]
    files |= {"train/schema.json": listed(services[1:]), "dev/schema.json": listed(services[:2])}
    return files | {"test/schema.json": b"[]", "sgd_x/data/v1/train/schema.json": b"not wanted"}


def tau_bench(rows: Rows) -> Files:
    return {f"historical_trajectories/{name.split('.')[0]}.json": listed(each) for name, each in rows.items()}


def tau2_bench(rows: Rows) -> Files:
    results: dict[str, dict] = defaultdict(lambda: {"timestamp": "2025-08-01"})
    for name, each in rows.items():
        run, part = name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".json").rsplit(".", 1)
        model, domain = run.rsplit(".", 1)
        model = model.replace("qwen2.5-", "qwen2.5:")
        mode = "no-user" if domain.endswith("-no-user") else "default"
        path = f"data/exp/run/{model}_{domain.removesuffix('-no-user')}_{mode}_gpt-4.1_1trials_2tasks.json"
        results[path][part] = each[0] if part == "info" else each
    return {path: json.dumps(result, indent=4).encode() for path, result in results.items()}


def bfcl_v1_outcomes(rows: Rows) -> Files:
    (_, _, *models), *cells = rows["outcomes.csv.gz"]
    files = {}
    for column, model in enumerate(models, 2):
        for category in convert.OUTCOMES:
            kinds = {int(row[1]): row[column] for row in cells if row[0] == category}
            wrong = [{"id": index, "error_type": kind} for index, kind in kinds.items() if kind != "ok"]
            head = {"accuracy": 0.5, "correct_count": len(kinds) - len(wrong), "total_count": len(kinds)}
            body = "\n".join(json.dumps(row) for row in (head, *(row | {"prompt": {"q": "?"}} for row in wrong)))
            files[f"2024-08-11/score/{model}/{category}_score.json"] = body.encode()
    return files


def routellm(rows: Rows) -> Files:
    files = {}
    for name, (head, *cells) in rows.items():
        wide = table(
            [
                ["", *head, "gpt-4-1106-preview_response"],
                *([n, *row, "text\n"] for n, row in enumerate(cells)),
            ]
        )
        if name == "gsm8k.csv.gz":
            files["routellm/evals/gsm8k/gsm8k_responses.csv"] = wide
        else:
            files[f"routellm/evals/mmlu/responses/{name.removesuffix('.gz')}"] = wide
    return files


def fireact(rows: Rows) -> Files:
    return {f"data/finetune/gpt_format/{name.removesuffix('.gz')}": lines(each) for name, each in rows.items()}


FORMS: dict[str, Callable[[Rows], Files]] = {
    each.__name__: each
    for each in (
        *(bfcl, acebench, when2call, api_bank, nestful, toolalpaca, seal_tools, sgd, tau_bench, tau2_bench),
        *(bfcl_v1_outcomes, routellm, fireact),
    )
}

# Our own rows, a few a file, in the shapes of the real ones.
TURN = [{"role": "user", "content": f"Wake Zoë at 7 {HALF}"}]
TOOL = {
    "name": "set_alarm",
    "description": "Sets an alarm.",
    "parameters": {"type": "dict", "properties": {}},
}
RUN = {"id": "s1", "task_id": "0", "messages": TURN, "reward_info": {"reward": 1.0}}
HEAD = list(convert.ROUTED)
MADE: dict[str, Rows] = {
    "bfcl": {
        "BFCL_v4_simple_python.json": [{"id": "simple_python_0", "question": [[]], "function": [TOOL]}],
        "BFCL_v4_live_simple.json": [{"id": "live_simple_0-0-0", "question": [[]], "function": [TOOL]}],
        "BFCL_v4_live_parallel_multiple.json": [{"id": "live_parallel_multiple_0-0-0"}],
        "BFCL_v4_live_multiple.json.gz": [{"id": "live_multiple_0-0-0", "question": [[]], "function": [TOOL]}],
        "BFCL_v4_live_irrelevance.json.gz": [{"id": "live_irrelevance_0-0-0", "function": []}],
        "BFCL_v4_multi_turn_base.json": [{"id": "multi_turn_base_0", "path": ["A.b"]}],
        "possible_answer/BFCL_v4_live_multiple.json": [{"id": "live_multiple_0-0-0", "ground_truth": []}],
        "possible_answer/BFCL_v4_simple_python.json": [{"id": "simple_python_0", "ground_truth": [{"f": {"a": [1]}}]}],
        "multi_turn_func_doc/math_api.json": [TOOL, TOOL],
    },
    "acebench": {
        "data_en/data_special_irrelevant.json": [{"id": "a", "question": "user: hi", "function": [], "time": ""}],
        "data_en/possible_answer/data_special_irrelevant.json": [{"id": "a", "ground_truth": "no"}],
    },
    "when2call": {"when2call_test_llm_judge.jsonl": [{"uuid": "u", "correct_answer": "tool_call", "tools": ["{}"]}]},
    "api_bank": {
        "dialogues.jsonl": [
            {
                "file": "level-1-given-desc/Alarm-level-1-1.jsonl",
                "turns": [{"role": "User", "text": "Weck mich, Zoë"}],
            },
            {"file": "level-1-given-desc/Empty-level-1-1.jsonl", "turns": []},
            {
                "file": "level-2-toolsearcher/Alarm-level-3-1.jsonl",
                "turns": [{"role": "AI"}, {"role": "API"}],
            },
        ],
        "all_apis.csv": [["id", "类名", "api_info"], ["1", "Alarm", 'description = "a, b"\nsecond line']],
    },
    "nestful": {
        "executable-data.jsonl": [{"input": "now", "output": []}],
        "glaive-data.jsonl": [{"input": "joke", "output": [{"name": "tell", "arguments": {"to": "$var1.x$"}}]}],
        "glaive-spec.jsonl": [{"name": "tell", "query_parameters": {}, "output_parameters": {}}],
    },
    "toolalpaca": {
        "eval_simulated.jsonl": [{"Name": "A", "Instructions": ["x"], "Golden_Answers": [[]]}, {"Name": "B"}]
    },
    "seal_tools": {
        "dev.jsonl": [{"id": "dev-easy-0", "query": "q", "calling": [{"api": "getA", "parameters": {}}]}],
        "test_in_domain.jsonl": [{"id": "t-0", "query": "q", "calling": [{"api": "getB"}, {"api": "getA"}]}],
        "tool.jsonl.gz": [{"api_name": "getB", "parameters": {}}, {"api_name": "getA", "parameters": {}}],
        "tool_distractors.jsonl.gz": [{"api_name": "getC", "parameters": {}}],
    },
    "sgd": {
        "train.jsonl.gz": [{"dialogue_id": f"1_{n}", "services": ["A_1"], "turns": TURN} for n in range(3)],
        "validation.jsonl.gz": [{"dialogue_id": f"2_{n}", "services": ["B_1"], "turns": []} for n in range(2)],
        "test.jsonl.gz": [{"dialogue_id": f"3_{n}", "services": ["C_1"], "turns": []} for n in range(2)],
        "schema.jsonl": [{"service_name": name, "slots": [], "intents": []} for name in ("A_1", "B_1", "C_1")],
    },
    "tau_bench": {"gpt-4o-airline.jsonl.gz": [{"task_id": 0, "trial": 0, "reward": 1.0, "traj": TURN, "info": {}}]},
    "tau2_bench": {
        "gpt-4.1.telecom.info.json": [{"num_trials": 1, "environment_info": {"policy": "be kind"}}],
        "gpt-4.1.telecom.simulations.jsonl.gz": [RUN, RUN | {"id": "s2"}],
        "gpt-4.1.telecom.tasks.jsonl.gz": [{"id": "0"}, {"id": "1"}],
        "qwen2.5-7b.telecom-no-user.info.json": [{"num_trials": 4}],
        "qwen2.5-7b.telecom-no-user.simulations.jsonl.gz": [RUN],
        "qwen2.5-7b.telecom-no-user.tasks.jsonl.gz": [{"id": "0"}],
    },
    "bfcl_v1_outcomes": {
        "outcomes.csv.gz": [
            ["category", "index", "gpt-4", "xLAM-1b-fc-r"],
            *(
                [category, str(n), "ok", ("ok", "value_error:string")[n % 2]]
                for category in convert.OUTCOMES
                for n in (1, 2)
            ),
        ]
    },
    "routellm": {
        "gsm8k.csv.gz": [HEAD, ["How many, in all?", "True", "False"]],
        "mmlu_virology.csv.gz": [HEAD, ["Which?\nA. this\nB. that", "False", "True"]],
    },
    "fireact": {"hotpotqa.jsonl.gz": [{"messages": TURN}], "multitask.jsonl.gz": [{"messages": TURN}] * 2},
}


# ---- both load alike -----------------------------------------------------------------------------


def load(path: Path, limit: int | None = None) -> list:
    """Rows of a laid-out file as the suites read it: JSON lines, one JSON object, or a table's cells."""
    if ".csv" in path.name:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as file:
            return list(islice(csv.reader(file), limit))
    if path.name.endswith(".info.json"):
        return [json.loads(path.read_text(encoding="utf-8"))]
    return list(islice(read_jsonl(path), limit))


def names_in(folder: Path) -> set[str]:
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if Path(name).stem not in {"README", "LICENSE"}}


def check_alike(upstream: Upstream, name: str, rows: Rows, into: Path) -> None:
    upstream.offer(name, FORMS[name](rows))
    (folder,) = upstream.pull(name, into)
    assert folder == into / name
    assert names_in(folder) == set(rows)
    assert {each: load(folder / each) for each in rows} == rows
    sources = wanted(name, registry.read(upstream.registry))
    assert set(upstream.requests) <= {source.path for source in sources}  # the rest has no place in the layout
    assert len(upstream.requests) == len({source.sha256 for source in sources})


@pytest.mark.parametrize("name", PULLABLE)
def test_what_is_pulled_reads_as_the_layout_does(name: str, upstream: Upstream, tmp_path: Path) -> None:
    check_alike(upstream, name, MADE[name], tmp_path / "sets")


def real_rows(name: str) -> Rows:
    """A few rows of each file of the data folder that the layout can make."""
    folder = Path(DATA or "") / name
    assert folder.is_dir(), f"SLMKIT_DATA has no {name}"
    lost = list(LAYOUTS[name].missing)
    if name == "tau2_bench":  # its results have no source, but the form of results is known
        lost = ["format_sample.*", "sft-v1-small.*", "tools.*", "*.submission.json"]
    names = [each for each in names_in(folder) if not any(fnmatch(each, glob) for glob in lost)]
    rows = {each: load(folder / each, 40 if each == "all_apis.csv" else 3) for each in names}
    if name == "bfcl_v1_outcomes":  # positions are kept apart there: number the chosen ones anew
        head, *cells = load(folder / "outcomes.csv.gz")
        few = [[row for row in cells if row[0] == category][:4] for category in convert.OUTCOMES]
        table = [[row[0], str(index), *row[2:]] for chosen in few for index, row in enumerate(chosen, 1)]
        rows = {"outcomes.csv.gz": [head, *table]}
    if name == "seal_tools":  # the tools that the chosen records call
        records = rows["dev.jsonl"] + rows["test_in_domain.jsonl"]
        called = {call["api"] for record in records for call in record["calling"]}
        tools = load(folder / "tool.jsonl.gz")
        rows["tool.jsonl.gz"] = [tool for tool in tools if tool["api_name"] in called]
    if name == "sgd":  # its test split is not in the data folder
        rows["test.jsonl.gz"] = MADE[name]["test.jsonl.gz"]
    if name == "tau2_bench":  # nor is a run without a simulated user
        rows |= {each: made for each, made in MADE[name].items() if "no-user" in each}
    return rows


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="SLMKIT_DATA is not set")
@pytest.mark.parametrize("name", PULLABLE)
def test_real_rows_come_back_the_same_under_the_same_names(name: str, upstream: Upstream, tmp_path: Path) -> None:
    check_alike(upstream, name, real_rows(name), tmp_path / "sets")


@pytest.mark.data
@pytest.mark.skipif(DATA is None, reason="SLMKIT_DATA is not set")
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_real_file_has_a_source_or_is_said_to_have_none(name: str) -> None:
    derived, missing, folder = targets(name), LAYOUTS[name].missing, Path(DATA or "") / name
    assert folder.is_dir(), f"SLMKIT_DATA has no {name}"
    for file in names_in(folder):
        assert file in derived or any(fnmatch(file, glob) for glob in missing), file


# ---- the registry that travels with the package --------------------------------------------------


def targets(name: str) -> list[str]:
    files = wanted(name, registry.read())
    return [target for rule in LAYOUTS[name].rules for target in rule.targets(files)]


def test_the_registry_feeds_every_file_once() -> None:
    sources = registry.read()
    assert {source.dataset for source in sources} <= set(LAYOUTS)
    assert all(source.url().startswith("https://raw.githubusercontent.com/") for source in sources)
    for name in PULLABLE:
        made = targets(name)
        assert len(made) == len(set(made))
        assert set(made) >= set(MADE[name]), name


def test_the_list_states_size_licence_and_what_is_missing(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in downloads.available(tmp_path)}
    assert list(rows) == list(LAYOUTS)
    assert rows["sgd"]["licence"] == "CC-BY-SA-4.0 (share-alike)"
    assert rows["bfcl"]["licence"] == "Apache-2.0"
    assert rows["bfcl_v1_outcomes"]["files"] == 71 * 12
    assert rows["api_bank"]["files"] == 263 + 1
    assert rows["sgd"]["mib"] == pytest.approx(384, abs=1)
    assert "tools.airline.json" in rows["tau_bench"]["missing"]
    assert (rows["bfcl_checker_vectors"]["files"], rows["bfcl_checker_vectors"]["mib"]) == (0, 0)
    assert not any(row["present"] for row in rows.values())
    (tmp_path / "nestful").mkdir()
    assert [row["name"] for row in downloads.available(tmp_path) if row["present"]] == ["nestful"]


def row_of(**changed: str) -> dict:
    good = {
        "dataset": "nestful",
        "repository": REPOSITORY,
        "commit": COMMIT,
        "path": "data/a.json",
        "bytes": "1",
    }
    return good | {"sha256": "0" * 64, "licence": "MIT"} | changed


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("path", path) for path in ("../a", "a/../../b", "/etc/passwd", "a//b", "..", ".", "a\\..\\b", "a/\n", "")),
        *(("repository", name) for name in ("../x", "a/..", "a", "a/b/c", "a/b?c")),
        *(("dataset", name) for name in ("..", "a/b", "/tmp", "")),
        *(
            ("commit", "main"),
            ("sha256", "0" * 63),
            ("sha256", "../" + "0" * 61),
            ("bytes", "-1"),
            ("licence", ""),
        ),
    ],
)
def test_a_row_that_could_climb_out_is_refused(column: str, value: str, tmp_path: Path) -> None:
    path = write_registry(tmp_path / "bad.csv", [row_of(), row_of(**{column: value})])
    with pytest.raises(InputError, match=rf"bad\.csv:\d+: {column} "):
        registry.read(path)


@given(
    st.lists(
        st.sampled_from(["..", ".", "", "a", "b.json", "..a", "C:", "~", "\\", "%2e%2e", "?x", "#"]),
        max_size=5,
    )
)
def test_an_accepted_path_stays_below_its_commit(parts: list[str]) -> None:
    try:
        source = registry._source(row_of(path="/".join(parts)), "here")
    except InputError:
        assert not parts or {"", ".", "..", "\\"} & set(parts)
        return
    below = f"http://host/{REPOSITORY}/{COMMIT}/"
    address = source.url("http://host/")
    assert address.startswith(below) and not set("?#") & set(address)
    assert ".." not in unquote(address[len(below) :]).split("/")


def test_a_broken_registry_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such registry"):
        downloads.available(registry=tmp_path / "none.csv")
    (tmp_path / "columns.csv").write_text("dataset,path\n")
    with pytest.raises(InputError, match=r"columns\.csv:1: expected the columns dataset,repository"):
        downloads.available(registry=tmp_path / "columns.csv")
    with pytest.raises(InputError, match=r"lists data/a\.json twice"):
        downloads.available(registry=write_registry(tmp_path / "twice.csv", [row_of(), row_of()]))


# ---- what fails leaves nothing behind ------------------------------------------------------------

FIRST = "data/finetune/gpt_format/hotpotqa.jsonl"
SECOND = "data/finetune/gpt_format/multitask.jsonl"


@pytest.fixture
def two_files(upstream: Upstream) -> Upstream:
    upstream.offer("fireact", FORMS["fireact"](MADE["fireact"]))
    return upstream


def status(code: int) -> Callable:
    return lambda handler, _: handler.send_error(code)


def cut(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    reply(handler, body[: len(body) // 2], length=len(body))


FAULTS = {
    "wrong hash": (lambda handler, body: reply(handler, body[::-1]), "SHA-256 differs", 1),
    "too long": (lambda handler, body: reply(handler, body + b"more"), "longer than the registry's", 1),
    "cut off": (cut, "after 3 tries: transfer cut short", 3),
    "too short": (lambda handler, body: reply(handler, body[:9]), "after 3 tries: transfer cut short", 3),
    "not found": (status(404), "HTTP 404", 1),
    "server error": (status(500), "after 3 tries: HTTP 500", 3),
    "no answer": (lambda handler, _: handler.connection.close(), "after 3 tries: no connection", 3),
}


def refused(pull: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        pull()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 400
    return message


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_file_gives_one_line_and_leaves_nothing(fault: str, two_files: Upstream, tmp_path: Path) -> None:
    two_files.faults[FIRST], line, tries = FAULTS[fault]
    before = sorted(tmp_path.rglob("*"))
    message = refused(lambda: two_files.pull("fireact"))
    assert line in message and FIRST in message
    assert two_files.requests == [FIRST] * tries
    assert sorted(tmp_path.rglob("*")) == before


def test_no_network_gives_one_line_and_leaves_nothing(two_files: Upstream, tmp_path: Path) -> None:
    two_files.server.shutdown()
    two_files.server.server_close()
    before = sorted(tmp_path.rglob("*"))
    message = refused(lambda: two_files.pull("fireact", tmp_path / "new" / "sets"))
    assert "after 3 tries: no connection" in message and "refused" in message
    assert sorted(tmp_path.rglob("*")) == before


def test_an_address_that_is_none_is_not_tried_again(two_files: Upstream) -> None:
    message = refused(lambda: downloads.pull("fireact", base_url="nowhere", registry=two_files.registry))
    assert "not a usable address" in message and "tries" not in message


def test_a_passing_fault_is_overcome(two_files: Upstream) -> None:
    def busy_once(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        (status(503) if two_files.requests.count(SECOND) == 1 else reply)(handler, body)

    two_files.faults[SECOND] = busy_once
    (folder,) = two_files.pull("fireact")
    assert load(folder / "multitask.jsonl.gz") == MADE["fireact"]["multitask.jsonl.gz"]
    assert two_files.requests == [FIRST, SECOND, SECOND]


def test_an_interrupted_pull_goes_on_from_verified_files(two_files: Upstream, tmp_path: Path) -> None:
    two_files.faults[SECOND] = cut
    refused(lambda: two_files.pull("fireact", tmp_path / "sets"))
    assert not (tmp_path / "sets").exists()
    two_files.faults.clear()
    two_files.requests.clear()
    two_files.pull("fireact", tmp_path / "sets")
    assert two_files.requests == [SECOND]
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]  # originals are not kept


def test_a_spoilt_file_in_the_raw_cache_is_fetched_again(two_files: Upstream, tmp_path: Path) -> None:
    two_files.faults[SECOND] = status(404)
    refused(lambda: two_files.pull("fireact"))
    (kept,) = (tmp_path / "cache" / "raw" / "fireact").iterdir()
    kept.write_bytes(b"spoilt")
    two_files.faults.clear()
    (folder,) = two_files.pull("fireact")
    assert load(folder / "hotpotqa.jsonl.gz") == MADE["fireact"]["hotpotqa.jsonl.gz"]


def test_a_half_made_data_set_never_shows(two_files: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(name: str, files: dict, folder: Path) -> None:
        (folder / "hotpotqa.jsonl.gz").write_bytes(b"half")
        assert not config.has_dataset("fireact")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(downloads, "lay_out", interrupted)
        two_files.pull("fireact")
    assert not (tmp_path / "cache" / "datasets").exists()
    two_files.requests.clear()
    two_files.pull("fireact")
    assert two_files.requests == [] and config.has_dataset("fireact")


def test_a_killed_pull_shows_nothing_and_goes_on(two_files: Upstream, tmp_path: Path) -> None:
    asked, never = threading.Event(), threading.Event()

    def hang(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.set()
        never.wait(20)

    two_files.faults[SECOND] = hang
    pull = f"pull('fireact', base_url={two_files.url!r}, registry={str(two_files.registry)!r})"
    process = subprocess.Popen([sys.executable, "-c", f"from slmkit.downloads import pull; {pull}"])
    assert asked.wait(20)
    process.kill()
    process.wait()
    never.set()
    assert not config.has_dataset("fireact")
    two_files.faults.clear()
    two_files.requests.clear()
    two_files.pull("fireact")
    assert two_files.requests == [SECOND]


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'[{"name": "a"}] trailing'])
def test_a_source_of_another_form_is_named(body: bytes, upstream: Upstream, tmp_path: Path) -> None:
    upstream.offer(
        "tau2_bench", FORMS["tau2_bench"](MADE["tau2_bench"]) | {"data/exp/x/m_airline_default_u.json": body}
    )
    assert "tau2_bench: cannot make m.airline.info.json: " in refused(lambda: upstream.pull("tau2_bench"))
    assert not config.has_dataset("tau2_bench")


def test_outcomes_that_do_not_add_up_are_refused(upstream: Upstream) -> None:
    files = FORMS["bfcl_v1_outcomes"](MADE["bfcl_v1_outcomes"])
    path = next(path for path in files if "xLAM" in path)
    files[path] = files[path].replace(b'"correct_count": 1', b'"correct_count": 2')
    upstream.offer("bfcl_v1_outcomes", files)
    assert f"{path}: errors and correct items do not add up" in refused(lambda: upstream.pull("bfcl_v1_outcomes"))


# ---- where it goes, and what it says -------------------------------------------------------------


def test_it_goes_to_the_user_cache_where_the_loaders_look(two_files: Upstream, tmp_path: Path) -> None:
    (folder,) = two_files.pull("fireact")
    assert folder == config.dataset("fireact") == tmp_path / "cache" / "datasets" / "fireact"
    assert either(folder, "hotpotqa.jsonl").is_file()
    readme = (folder / "README.md").read_text()
    assert f"https://github.com/{REPOSITORY}/tree/{COMMIT}" in readme and "licence: MIT" in readme


def test_share_alike_travels_with_the_folder(upstream: Upstream) -> None:
    upstream.offer("sgd", FORMS["sgd"](MADE["sgd"]), licence="CC-BY-SA-4.0")
    (folder,) = upstream.pull("sgd")
    assert "Share-alike" in (folder / "README.md").read_text()


def test_a_data_set_that_is_there_is_left_as_it_is(two_files: Upstream, tmp_path: Path) -> None:
    (tmp_path / "fireact").mkdir()
    assert two_files.pull("fireact", tmp_path) == [tmp_path / "fireact"]
    assert two_files.requests == []


def test_the_faster_of_two_pulls_wins(two_files: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(name: str, files: dict, folder: Path) -> None:
        (folder.parent / name).mkdir()
        (folder.parent / name / "theirs").touch()

    monkeypatch.setattr(downloads, "lay_out", slow)
    (folder,) = two_files.pull("fireact", tmp_path / "sets")
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["fireact"]
    assert [path.name for path in folder.iterdir()] == ["theirs"]


def test_two_pulls_give_the_same_bytes(two_files: Upstream, tmp_path: Path) -> None:
    folders = [two_files.pull("fireact", tmp_path / each)[0] for each in ("one", "two")]
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second
    assert first["hotpotqa.jsonl.gz"][4:8] == bytes(4)  # the time stamp of a gzip file


def test_the_base_address_comes_from_the_environment(two_files: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLMKIT_DATA_URL", f"{two_files.url}/")
    downloads.pull("fireact", registry=two_files.registry)
    assert two_files.requests == [FIRST, SECOND]


def test_names_are_checked_before_anything_is_fetched(two_files: Upstream) -> None:
    assert "did you mean 'fireact'" in refused(lambda: two_files.pull(["fireact", "firact"]))
    assert "cannot be pulled: vectors" in refused(lambda: two_files.pull(["fireact", "bfcl_checker_vectors"]))
    assert "no source for" in refused(lambda: two_files.pull(["fireact", "sgd"]))
    assert two_files.requests == []


def test_a_folder_that_cannot_be_written_is_named(two_files: Upstream, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"cannot read or write {tmp_path / 'file'}" in refused(lambda: two_files.pull("fireact", tmp_path / "file"))
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "fireact").touch()
    assert "sets/fireact" in refused(lambda: two_files.pull("fireact", tmp_path / "sets"))
    assert [path.name for path in (tmp_path / "sets").iterdir()] == ["fireact"]


def test_the_bar_counts_bytes_and_can_be_silenced(
    two_files: Upstream, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_files.pull("fireact", tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")
    monkeypatch.delenv("TQDM_DISABLE")
    two_files.pull("fireact", tmp_path / "loud")
    out, err = capfd.readouterr()
    assert out == "" and "fireact: 100%" in err
