"""The page over a pass: how each notebook ended, its verdicts and figures, and the executed notebook as HTML."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from slmkit import files

COLUMNS = ("claim_id", "statement", "estimate", "interval", "unit", "threshold", "outcome", "condition", "n")

_TABLE_STYLE = """
table.verdicts{border-collapse:collapse;width:100%;table-layout:fixed;font:13.5px/1.45 system-ui,sans-serif}
.verdicts td,.verdicts th{padding:.4rem .5rem;text-align:left;vertical-align:top;border-bottom:1px solid #e6e6e6}
.verdicts th{background:#fafafa}.verdicts th:nth-child(1){width:4.5rem}.verdicts th:nth-child(2){width:36%}
.verdicts th:nth-child(3){width:17%}.verdicts th:nth-child(5){width:3rem}.verdicts th:nth-child(6){width:7.6rem}
.verdicts .faint{color:#767676}.verdicts .outcome{font-weight:600;white-space:nowrap}
.holds{color:#00694a}.fails{color:#a3260c}.conditional{color:#7a5a00}.inconclusive,.not_testable{color:#666}
.number{font-variant-numeric:tabular-nums;white-space:nowrap}
"""
_PAGE_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:70rem;margin:2rem auto;padding:0 1.2rem}
h1{font-size:1.7rem;margin-bottom:.2rem}h2{margin-top:2.6rem;border-top:1px solid #ddd;padding-top:1.2rem}
.faint{color:#767676;font-size:.86rem}img{max-width:100%;height:auto}figure{margin:1.8rem 0}
figcaption{font-size:.86rem;color:#555}.error{background:#fdecea;padding:.7rem 1rem;border-left:4px solid #a3260c}
.note{background:#fff8e1;padding:.5rem 1rem}
"""
MARKS = {"holds": "✓ holds", "fails": "✗ fails", "conditional": "◐ conditional", "inconclusive": "? inconclusive",
          "not_testable": "– not testable"}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One notebook of a pass: its folder, stem, error (one line or None) and wall time in seconds."""

    folder: Path
    name: str
    error: str | None
    wall_s: float


def figure_text(value: float | None) -> str:
    """A number as people read it: three significant digits, no exponent in the usual range."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def verdict_rows(verdicts: Sequence[dict[str, Any]]) -> str:
    """An HTML table of verdicts in the form of `results.json`; the words are escaped."""
    rows = []
    for verdict in verdicts:
        estimate = figure_text(verdict["estimate"])
        if verdict["interval"]:
            low, high = map(figure_text, verdict["interval"])
            estimate += f" [{low}, {high}]"
        outcome = verdict["outcome"]
        condition = f"<br><span class=faint>{escape(verdict['condition'])}</span>" if verdict["condition"] else ""
        rows.append(
            f"<tr><td>{escape(verdict['claim_id'])}</td><td>{escape(verdict['statement'])}{condition}</td>"
            f"<td><span class=number>{estimate}</span> {escape(verdict['unit'])}</td>"
            f"<td>{escape(verdict['rule'] or verdict['threshold'])}</td><td class=number>{verdict['n']:,}</td>"
            f"<td class='outcome {outcome}'>{MARKS[outcome]}</td></tr>"
        )
    head = "<tr><th>claim</th><th>statement</th><th>estimate [95 %]</th><th>rule</th><th>n</th><th>verdict</th></tr>"
    return f"<table class=verdicts>{head}{''.join(rows)}</table>"


def verdict_page(verdicts: Sequence[dict[str, Any]]) -> str:
    """The verdict table with its style, for the last cell of a notebook."""
    return f"<style>{_TABLE_STYLE}</style>{verdict_rows(verdicts)}"


def notebook_html(path: Path) -> Path:
    """The executed notebook as a page beside it, with nothing fetched from a network."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="lab", embed_images=False)
    exporter.mathjax_url = exporter.require_js_url = ""
    body, _ = exporter.from_filename(str(path))
    return files.write_text(path.with_suffix(".html"), body)


def _section(folder: Path, entry: Entry) -> str:
    here = Path(os.path.relpath(entry.folder, folder))
    executed = entry.folder / f"{entry.name}.ipynb"
    parts = [f"<h2 id='{entry.name}'>{escape(entry.name)}</h2>"]
    if entry.error:
        parts.append(f"<p class=error>{escape(entry.error)}</p>")
    if executed.is_file():
        page = notebook_html(executed)
        parts.append(f"<p><a href='{here / page.name}'>executed notebook</a> · {entry.wall_s:.0f} s</p>")
    results = entry.folder / entry.name / "results.json"
    if entry.error is None and results.is_file():
        found = json.loads(results.read_text(encoding="utf-8"))
        parts += [f"<p class=note>{escape(note)}</p>" for note in found["notes"]]
        parts.append(verdict_rows(found["verdicts"]))
        for figure in found["figures"]:
            source = here / entry.name / f"{figure['name']}.svg"
            caption = f"{escape(figure['caption'])} <a href='{source.with_suffix('.csv')}'>data</a>"
            alt = escape(figure["caption"], quote=True)
            parts.append(f"<figure><img src='{source}' alt='{alt}'><figcaption>{caption}</figcaption></figure>")
        made = found["provenance"]
        commit = (made["git"]["commit"] or "no git")[:12] + (" + uncommitted changes" if made["git"]["dirty"] else "")
        parts.append(f"<p class=faint>{escape(made['hardware'])} · {commit} · {made['started_at']} · "
                     f"<a href='{here / entry.name / 'results.json'}'>results.json</a></p>")  # fmt: skip
    return "\n".join(parts)


def write(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write `index.html` over the notebooks of a pass and return its path."""
    failed = sum(entry.error is not None for entry in entries)
    ended = f"{len(entries) - failed} of {len(entries)} notebooks came to their verdict"
    links = " · ".join(f"<a href='#{entry.name}'>{escape(entry.name)}</a>" for entry in entries)
    body = "\n".join(_section(folder, entry) for entry in entries)
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>slmkit · {escape(folder.name)}</title><style>{_TABLE_STYLE}{_PAGE_STYLE}</style>"
        f"<h1>slmkit · run {escape(folder.name)}</h1>"
        f"<p class=faint>{ended}</p><p>{links}</p>\n{body}\n</html>\n"
    )
    return files.write_text(folder / "index.html", page)
