"""The page over a pass, as a browser shows it: every figure loads, verdicts stand in a table, nothing is fetched."""

import json
import re
import shutil
import subprocess

import pytest

from slmkit import config, report

pytestmark = [pytest.mark.browser, pytest.mark.full]


def test_the_page_shows_every_figure_and_verdict_of_the_committed_results(tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    assert browser, "install Chromium (Debian: apt-get install chromium) to look at the page"
    entries = []
    for folder in sorted(config.resource("data/results").iterdir()):
        shutil.copytree(folder, tmp_path / "laptop" / folder.name)
        entries.append(report.Entry(tmp_path / "laptop", folder.name, None, 1.0))
    page = report.write(tmp_path, entries)
    # Widths are known only where the picture was really decoded.
    probe = (
        "<script>onload=()=>{document.title='widths '+[...document.images].map(i=>i.naturalWidth).join(' ')}</script>"
    )
    page.write_text(page.read_text(encoding="utf-8").replace("</html>", f"{probe}</html>"), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([browser, *flags, page.as_uri()], capture_output=True, text=True, timeout=120)
    widths = re.search(r"<title>widths ([\d ]*)</title>", done.stdout)[1].split()
    results = [json.loads((tmp_path / "laptop" / e.name / "results.json").read_text()) for e in entries]
    assert len(widths) == sum(len(found["figures"]) for found in results)
    assert all(int(width) > 100 for width in widths)
    for found in results:
        assert all(f"<td>{verdict['claim_id']}</td>" in done.stdout for verdict in found["verdicts"])
    assert not re.search(r"(src|href)=['\"]https?:", page.read_text(encoding="utf-8"))
