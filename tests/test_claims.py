"""The ledger is complete, every row is owned and decidable, and a verdict without a row is refused."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slmkit import claims, config, report
from slmkit.errors import InputError
from slmkit.records import Verdict


def ids(prefix: str, first: int, last: int) -> list[str]:
    return [f"{prefix}{number}" for number in range(first, last + 1)]


# Every claim of the paper and of its two summaries, section by section.
SECTIONS = {
    "definitions and views": [*ids("D.", 1, 5), *ids("I.", 1, 4), "V1", "V2", "V3", "V.4", "V.5"],
    "A1": ids("A1.", 0, 13),
    "A2": ids("A2.", 1, 7),
    "A3 to A7": ["A3.1", "A3.2", "A4", "A5", "A6", "A7"],
    "rebuttals": ids("A", 8, 13),
    "alternative views": ["AV1/CA1", "AV1/CA2", "AV2/CA3", "AV2/CA4", "AV3"],
    "barriers": ids("B", 1, 3),
    "conversion": ids("S", 1, 6),
    "appendices and call": ["C.A", *ids("C.B", 1, 3), "C.7"],
    "Summary A": ids("S0-", 1, 33),
    "Summary B": ids("S4-", 1, 21),
}

# Owners fixed by the plan of the six notebooks; the rest follow the notebook of their argument.
FIXED_OWNERS = {
    "01_capability": "V1 A1.0 A1.1 A1.2 A1.3 A1.4 A1.5 A1.6 A1.7 A1.8 A1.9 A1.10 A1.13 B2 S0-3 S0-7 S0-8 "
    "S0-9 S0-10 S0-11 S0-16 S4-2 S4-11 S4-12 S4-17 AV1/CA1 S0-4 S0-30 S0-33",
    "02_economics": "V3 A2.1 A2.2 A2.3 A2.5 AV2/CA3 AV2/CA4 A12 A13 D.1 D.2 D.3 D.4 S4-1 S4-3 S4-14 S0-12 "
    "S0-18 S0-19 S0-20 S0-21 S0-23 S0-31",
    "03_specialization": "V2 A1.11 A2.4 A3.1 A5 A8 A9 S2 S5 S0-14 S0-15 S0-17 S4-4 S4-13",
    "04_heterogeneous_agent": "V.5 A6 A10 A11 A1.12 A2.7 S0-22 S0-25 S0-6 S4-5 S4-10 S4-16",
    "05_conversion": "A4 A7 S1 S3 S4 S6 C.B1 C.B2 C.B3 S4-9",
}
LEDGER = claims.load()


def verdict(**changes: object) -> Verdict:
    """A good verdict on a claim of notebook 01, changed."""
    fields = {
        "claim_id": "V1",
        "statement": "small models suffice",
        "kind": "computed",
        "estimate": -1.4,
        "interval": (-3.1, 0.2),
        "unit": "points",
        "outcome": "conditional",
        "condition": "single-turn, tuned",
        "n": 840,
        "notebook": "01_capability",
    }
    return Verdict(**(fields | changes))


# --- the ledger -----------------------------------------------------------------------------------


@pytest.mark.parametrize("section", SECTIONS)
def test_every_claim_of_a_section_is_there(section: str) -> None:
    assert [claim for claim in SECTIONS[section] if claim not in LEDGER] == []


def test_there_is_no_other_claim() -> None:
    expected = [claim for section in SECTIONS.values() for claim in section]
    assert len(expected) == 120 and sorted(LEDGER) == sorted(expected)


@pytest.mark.parametrize("owner", FIXED_OWNERS)
def test_owners_follow_the_plan(owner: str) -> None:
    wrong = {name: LEDGER[name].owner for name in FIXED_OWNERS[owner].split() if LEDGER[name].owner != owner}
    assert wrong == {}


def test_each_notebook_owns_claims_and_each_claim_has_one_owner() -> None:
    owned = [row.id for notebook in claims.NOTEBOOKS for row in claims.owned_by(notebook)]
    assert sorted(owned) == sorted(LEDGER)
    assert all(claims.owned_by(notebook) for notebook in claims.NOTEBOOKS)


@pytest.mark.parametrize("row", LEDGER.values(), ids=LEDGER.keys())
def test_a_threshold_names_the_outcomes_it_decides(row: claims.Claim) -> None:
    rule = row.threshold.lower()
    if row.kind == "forecast" or row.id == "V.4":
        assert rule.startswith("not testable")
        return
    assert "holds" in rule and "fails" in rule
    if row.kind in claims.QUANTITATIVE:
        assert re.search(r"\d", rule), "a measured or computed claim needs a number to be judged by"


def test_place_tells_the_paper_from_its_summaries() -> None:
    for row in LEDGER.values():
        source = {"S0-": "Summary A", "S4-": "Summary B"}.get(row.id[:3])
        assert row.place.startswith(source or ("Section", "Sections", "Appendix")), row.id


def test_references_resolve_and_none_is_idle() -> None:
    text = config.resource("papers/references.bib").read_text(encoding="utf-8")
    keys = re.findall(r"^@\w+\{([^,\s]+),", text, re.MULTILINE)
    cited = {key for row in LEDGER.values() for key in (*row.cites, *row.sources)}
    assert len(keys) == len(set(keys))
    assert cited == set(keys)
    assert text.count("{") == text.count("}")
    for entry in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        assert re.search(r"^\s*title\s*=", entry, re.MULTILINE), entry[:40]
        for number in re.findall(r"eprint\s*=\s*\{(.+?)\}", entry):
            assert re.fullmatch(r"\d{4}\.\d{5}", number), entry[:40]


README = config.resource("papers/README.md")


def test_the_reading_of_the_paper_names_its_claims_and_their_notebooks() -> None:
    text, table = README.read_text(encoding="utf-8").split("## Which notebook judges what")
    named = set(re.findall(r"`([A-Z][\w./-]*)`", text))
    assert named <= set(LEDGER), named - set(LEDGER)
    assert {row for row in LEDGER if not row.startswith(("S0-", "S4-"))} <= named
    for notebook in claims.NOTEBOOKS:
        (line,) = (line for line in table.splitlines() if line.startswith("|") and notebook in line)
        assert line.split("|")[-2].split() == [row.id for row in claims.owned_by(notebook)], notebook


def test_the_reading_of_the_paper_has_no_dead_link() -> None:
    links = set(re.findall(r"\]\(([^)#]+)", README.read_text(encoding="utf-8")))
    notebooks = {link for link in links if link.startswith("../notebooks/")}
    for link in links - notebooks:
        assert link.startswith("http") or (README.parent / link).exists(), link
    there = {f"../notebooks/{file.name}" for file in (README.parents[1] / "notebooks").glob("0*.ipynb")}
    assert not there or notebooks == there, "link each notebook that exists, and no other"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(InputError, match=r"'A1\.11'"):
        claims.claim("A1.111")
    with pytest.raises(InputError, match="02_economics"):
        claims.owned_by("02_economy")


# --- a malformed ledger ---------------------------------------------------------------------------

ROW = """
- id: X1
  place: Section 9
  statement: It works.
  source_says: Nothing.
  kind: audit
  owner: 01_capability
  threshold: Holds or fails.
  refuted_by: Its not working.
  prior: None.
"""


def ledger(folder: Path, text: str) -> Path:
    path = folder / "claims.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_good_row_loads(tmp_path: Path) -> None:
    assert list(claims.load(ledger(tmp_path, ROW))) == ["X1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ROW + ROW, "claim 'X1' stands twice"),
        (ROW.replace("  owner: 01_capability\n", ""), "claim 'X1', field owner"),
        (ROW.replace("01_capability", "01_capabilty"), "field owner: unknown notebook '01_capabilty'"),
        (ROW.replace("kind: audit", "kind: guess"), "claim 'X1', field kind"),
        (ROW.replace("Holds or fails.", '" "'), "field threshold: is blank"),
        (ROW.replace("  threshold: Holds or fails.\n", ""), "field threshold"),
        (ROW.replace("prior:", "priors:"), "claim 'X1', field prior"),
        (ROW + "  related: [X2]\n", "field related: unknown claim 'X2'"),
        (ROW.replace("id: X1", "id:"), "row 1, field id"),
        ("- [a, b]", "row 1"),
        ("claims: none", "expected a list"),
        ("- {id: X1", "not YAML"),
    ],
)
def test_a_malformed_ledger_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = ledger(tmp_path, text)
    with pytest.raises(InputError) as error:
        claims.load(path)
    assert str(path) in str(error.value) and says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such ledger"):
        claims.load(tmp_path / "claims.yaml")


# --- verdicts -------------------------------------------------------------------------------------


def test_a_good_verdict_is_let_in() -> None:
    assert claims.check_verdict(verdict()).id == "V1"


def test_a_verdict_without_a_ledger_row_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown claim 'A1\.14': did you mean"):
        claims.check_verdict(verdict(claim_id="A1.14"))


@pytest.mark.parametrize("kind", claims.QUANTITATIVE)
@pytest.mark.parametrize(
    "numbers",
    [
        {"estimate": None},
        {"estimate": math.nan},
        {"estimate": math.inf},
        {"interval": None},
        {"interval": (0.2, -3.1)},
        {"interval": (-3.1, math.nan)},
        {"interval": (-math.inf, 0.2)},
    ],
)
def test_numbers_are_needed(kind: str, numbers: dict) -> None:
    with pytest.raises(InputError, match="needs a finite"):
        claims.check_verdict(verdict(kind=kind, **numbers))


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_any_ordered_interval_is_let_in_and_no_other(low: float, high: float) -> None:
    candidate = verdict(interval=(low, high))
    if low <= high:
        claims.check_verdict(candidate)
    else:
        with pytest.raises(InputError):
            claims.check_verdict(candidate)


def test_a_claim_to_be_measured_cannot_be_argued_away() -> None:
    with pytest.raises(InputError, match="asks for a computed verdict"):
        claims.check_verdict(verdict(kind="audit", outcome="holds", estimate=None, interval=None))
    claims.check_verdict(verdict(kind="audit", outcome="not_testable", estimate=None, interval=None))


def test_an_audit_needs_no_number_but_takes_no_broken_one() -> None:
    audit = verdict(claim_id="A1.3", kind="audit", outcome="fails", estimate=None, interval=None)
    claims.check_verdict(audit)
    with pytest.raises(InputError, match="needs a finite estimate"):
        claims.check_verdict(audit.model_copy(update={"estimate": math.nan}))


@pytest.mark.parametrize("condition", ["", "  "])
def test_conditional_needs_its_condition(condition: str) -> None:
    with pytest.raises(InputError, match="needs a condition"):
        claims.check_verdict(verdict(condition=condition))


def test_only_the_owner_judges_and_others_give_evidence() -> None:
    with pytest.raises(InputError, match="03_specialization owns the claim"):
        claims.check_verdict(verdict(claim_id="A5"))
    claims.check_verdict(verdict(claim_id="A5", evidence_from=["01_capability"]))


@pytest.mark.parametrize("changes", [{"notebook": "07_more"}, {"evidence_from": ["01"]}])
def test_unknown_notebooks_are_refused(changes: dict) -> None:
    with pytest.raises(InputError, match="unknown notebook"):
        claims.check_verdict(verdict(**changes))


def test_an_outcome_outside_the_five_words_is_refused() -> None:
    with pytest.raises(InputError, match="unknown outcome 'hold': did you mean 'holds'"):
        claims.check_verdict(verdict().model_copy(update={"outcome": "hold"}))


def test_the_table_stands_in_the_order_of_the_ledger() -> None:
    table = claims.verdict_table([verdict(claim_id="S4-2"), verdict(claim_id="V1"), verdict(claim_id="B2")])
    assert list(table["claim"]) == ["V1", "B2", "S4-2"]
    assert table["estimate"][0] == "-1.4 [-3.1, 0.2] points"
    assert len(claims.verdict_table([])) == 0 and "outcome" in claims.verdict_table([])


def test_the_page_escapes_what_it_shows() -> None:
    page = report.verdict_page([verdict(statement="a < b & <script>", condition="<i>").model_dump()])
    assert "<script>" not in page and "a &lt; b &amp; &lt;script&gt;" in page and "&lt;i&gt;" in page
