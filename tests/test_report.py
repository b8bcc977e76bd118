"""The page of results: sound, complete, harmless, small, offline, usable without a mouse, and the same bytes each time."""

from __future__ import annotations

import base64
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from test_leaderboard import everything, fresh, read, write

from benchmark import embeddings, leaderboard, record
from benchmark.__main__ import main
from benchmark.board import boards
from benchmark.claims import command
from benchmark.claims.judge import Rule
from benchmark.overall import headline
from benchmark.report import claims, page, series
from benchmark.report.ids import anchor
from benchmark.report.svg import inline
from jepakit.types import UsageError

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> $\\frac{ & \x07'
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAG7buVgAAAABJRU5ErkJggg==")
VOID = {"meta", "link", "br", "img", "input", "hr"}
# Two steps of a run: a loss of two parts, and the features' rank.
HISTORY = [
    {"step": 10, "loss": 3.0, "part": 2.0, "rankme": 4.0, "collapsed": None},
    {"step": 20, "loss": 1.0, "part": 0.5, "rankme": 6.0, "collapsed": None},
]


class Page(HTMLParser):
    """What a reader of the page meets: a tree of tags checked for balance, ids, links, tables by id, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.captions: dict[str, str] = {}
        self.text = ""
        self.table = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute is given twice in {tag}"
        own = {key: value or "" for key, value in attrs}
        self.tags.append((tag, own))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.table = own["id"]
            self.tables[self.table] = []
        if tag == "tr":
            self.tables[self.table].append([])
        if tag in ("td", "th"):
            self.tables[self.table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"
        if tag == "table":
            self.table = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.table and {"td", "th"} & set(self.open):
            self.tables[self.table][-1][-1] += data
        elif "caption" in self.open:
            self.captions[self.table] = self.captions.get(self.table, "") + data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [own for name, own in self.tags if name == tag]


def plant(results: Path) -> None:
    everything(results)
    for method, gain in (("mae", 0.0), ("ijepa", 0.1)):
        for seed in range(3):
            one = write(results, method, seed, history=HISTORY if method == "mae" else [])
            extras = {"macro_f1_1shot": 0.3 + gain + 0.01 * seed, "macro_f1_5shot": 0.5 + gain, "macro_f1_10pct": 0.6,
                      "macro_f1_100pct": 0.7}  # fmt: skip
            one["scores"][1]["extras"] = extras
            record.save(results, one)
    write(results, HOSTILE.replace("/", "∕"), 0, skill=0.75, family="<b>", overrides={"recipe.x": "<i>"})
    write(results, "sar", 0, status="collapsed", skill=0.2)
    write(results, "broken", 0, status="nan", reason="<script>alert(3)")
    write(results, "mae", 0, preset="smoke")
    planes(results)
    tested(results)
    (results / "figures").mkdir()
    (results / "figures" / "masks_mae_ecg_simulated.png").write_bytes(PNG)


def tested(results: Path) -> None:
    """A claim that was run to its end, one whose cells are partly there, and one that nobody ran."""
    rule = str(Rule(0.02))
    given = [
        {"claim": "b-partly", "state": "partly run", "effect": -77.75, "lo": -88.85, "hi": -66.65, "detectable": 55.55,
         "seeds": 3, "runs": 21, "runs_needed": 80, "cost_s": 10.0, "says": "Partly.", "found": "above on 1 of 1"},
        {"claim": "a-done", "state": "not reproduced", "effect": 0.004, "lo": -0.001, "hi": 0.009, "detectable": 0.007,
         "replicates": 2, "seeds": 5, "runs": 160, "runs_needed": 160, "cost_s": 6458.0, "says": HOSTILE, "found": "none"},
        {"claim": "c-not", "state": "not run", "seeds": 0, "runs": 0, "runs_needed": 15, "cost_s": 0.0, "says": "Not."},
    ]  # fmt: skip
    made = pd.DataFrame([{"outcome": "arm minus than", "rule": rule, "paper": "P 2026", **one} for one in given])
    made.reindex(columns=list(command.COLUMNS)).to_csv(results / command.FILE, index=False)
    lines = [
        ("a-done", "ecg/one", 0.003, -0.01, 0.02),
        ("a-done", "<i>", 0.005, None, None),
        ("b-partly", "x", 1, 0, 2),
    ]
    pd.DataFrame(lines, columns=list(command.LINE_COLUMNS)).to_csv(results / command.LINES, index=False)


def planes(results: Path) -> None:
    """Features of one finished row, of one whose record is gone, and a class that needs escaping."""
    key = next(one["key"] for one in record.load_all(results) if (one["method"], one["seed"]) == ("mae", 0))
    rng = np.random.default_rng(0)
    rows = [
        {"method": "mae", "family": "mae", "seed": 0, "key": key, "share_x": 0.5, "share_y": 0.25, "x": x, "y": y,
         "task": "rhythm", "label": ("<script>", "b", "b")[i % 3], "nuisance": "noise", "factor": i / 10}
        for i, (x, y) in enumerate(rng.normal(size=(30, 2)))
    ]  # fmt: skip
    made = pd.DataFrame([*rows, {**rows[0], "method": "gone", "key": "0"}], columns=list(embeddings.COLUMNS))
    made.to_csv(embeddings.path(results, "ecg", "simulated", "quick"), index=False)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("results")
    plant(made)
    return made


@pytest.fixture(scope="module")
def content(results: Path) -> bytes:
    return page.render(results, stale=fresh)


@pytest.fixture(scope="module")
def seen(content: bytes) -> Page:
    return Page(content.decode())


def test_it_is_one_sound_document(seen: Page) -> None:
    assert [own["lang"] for own in seen.all("html")] == ["en"]
    ids = Counter(own["id"] for _, own in seen.tags if "id" in own)
    assert max(ids.values()) == 1
    for _, own in seen.tags:
        for name in ("aria-labelledby", "aria-controls", "data-for"):
            assert set(own.get(name, "").split()) <= set(ids), own
        if own.get("href", "").startswith("#"):
            assert own["href"][1:] in ids, own
        for reference in re.findall(r"url\(#([^)]*)\)", " ".join(own.values())):
            assert reference in ids


def test_it_asks_the_network_for_nothing(seen: Page, content: bytes) -> None:
    assert not {"iframe", "object", "embed", "audio", "video", "source", "base"} & {tag for tag, _ in seen.tags}
    assert [own["href"] for own in seen.all("link")] == ["data:,"]
    for tag, own in seen.tags:
        assert own.pop("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert not {"srcset", "xlink:href", "action", "poster"} & set(own), (tag, own)
        if tag != "a":
            assert "//" not in own.get("href", "") + own.get("style", "")
    text = content.decode()
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|sendBeacon|WebSocket", text)
    (policy,) = [own["content"] for own in seen.all("meta") if own.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_every_row_of_every_board_is_there(results: Path, seen: Page) -> None:
    leaderboard.rebuild(results, stale=fresh)
    rows = read(results / "leaderboard_ecg.csv")
    assert len(rows) == 80  # half of them arms of the few-shot probe
    by_task = {
        caption.split(", ")[1]: id for id, caption in seen.captions.items() if caption.startswith("ecg/simulated, ")
    }
    for row in rows:
        heads, *lines = seen.tables[by_task[row["task"]]]
        names = {re.split(r"[✗†◆‡]", line[0])[0].strip(): line for line in lines}
        line = names[f"{row['method']} {row['variant']}".strip()]
        shown = line[heads.index(f"{row['probe']} {row['metric']}")]
        assert (shown == "") == (row["mean"] == "")
        if row["mean"]:
            assert float(shown.split()[0]) == pytest.approx(float(row["mean"]), abs=6e-4)
        if (row["probe"], row["metric"]) == ("linear", "macro_f1"):  # rank and ties are of the first score
            assert line[heads.index("ties")] == row["tie_group"] and line[heads.index("rank")] == row["rank"]
    assert not any("smoke" in own.get("id", "") for _, own in seen.tags), "a preset that is never quoted"


def test_references_stand_apart_and_marks_say_what_they_mean(seen: Page) -> None:
    lines = [line[0] for line in seen.tables[next(i for i, c in seen.captions.items() if c == "ecg/simulated, rhythm")]]
    apart = lines.index("references, unranked")
    assert lines.index("ijepa ◆") < lines.index("mae") < apart < lines.index("random_init") < lines.index("chance")
    assert "sar ✗" in lines
    assert {"collapsed in some seed"} <= {own["title"] for own in seen.all("abbr")}


def test_names_from_records_stay_text(seen: Page, content: bytes) -> None:
    assert content.count(b"<script") == 1 and content.count(b"<img") == 1  # the picture of masks
    assert not [own for _, own in seen.tags if any(key.startswith("on") for key in own)]
    assert "b" not in {tag for tag, _ in seen.tags} and "i" not in {tag for tag, _ in seen.tags}
    assert '"><script>alert(1)<∕script><img src=x onerror=alert(2)> $\\frac{ &' in seen.text
    assert "nan: <script>alert(3)" in seen.text


def test_it_can_be_used_without_a_mouse_and_heard(seen: Page) -> None:
    first = next(own for tag, own in seen.tags if tag in ("a", "button", "input"))
    assert (first["class"], first["href"]) == ("skip", "#main")
    assert set(seen.captions) == set(seen.tables) and all(seen.captions.values())
    assert all(own.get("scope") in ("col", "row", "rowgroup") for own in seen.all("th"))
    for tag, own in seen.tags:
        if tag == "div" and own.get("class") == "scroll":
            assert (own["role"], own["tabindex"]) == ("region", "0") and own["aria-labelledby"]
    figures = seen.all("svg")
    assert len(figures) >= 8
    assert all(own["role"] == "img" and len(own["aria-labelledby"].split()) == 2 for own in figures)
    assert len(seen.all("desc")) == len(figures) == len(seen.all("figcaption")) - len(seen.all("img"))
    assert all(own["alt"] for own in seen.all("img"))
    assert "loss from 3 to 1; part from 2 to 0.5; RankMe from 4 to 6" in seen.text


def test_light_dark_and_phone(content: bytes) -> None:
    style = content.decode().split("<style>")[1].split("</style>")[0]
    names = set(re.findall(r"(--\w+):", style))
    twins = set(re.findall(r"(--\w+): light-dark\(#\w+, #\w+\)", style))
    assert names == twins, "every colour has a dark twin"
    used = set(re.findall(r"var\((--\w+)\)", content.decode()))
    assert used - {"--v"} <= names  # --v: how much of a cell is tinted
    assert not re.search(r"#(010203|c8c9ca|1f6fb4)", content.decode().split("</style>")[1]), (
        "a colour that cannot change"
    )
    assert "overflow: auto; max-width: 100%" in style and b"width=device-width" in content


def test_size_is_bounded(content: bytes) -> None:
    assert len(content) < page.MOST
    assert page.too_large(page.MOST) == "" and "5.0 MB" in page.too_large(page.MOST + 1)


def test_the_same_records_give_the_same_bytes(results: Path, content: bytes, tmp_path: Path) -> None:
    shutil.copytree(results, tmp_path, dirs_exist_ok=True)
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.grid": False}):
        again = page.render(tmp_path, stale=fresh)
        assert matplotlib.rcParams["font.size"] == 20, "a person's own settings are put back"
    assert again == content


def test_the_command_and_rows_of_older_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--results", str(tmp_path)]) == 0
    assert "No record yet" in Page((tmp_path / "index.html").read_text("utf-8")).text
    write(tmp_path, "mae", 0)
    assert main(["report", "--results", str(tmp_path)]) == 0
    assert "index.html" in capsys.readouterr().out
    old = Page((tmp_path / "index.html").read_text("utf-8"))
    assert "1 made by older code" in old.text and "No row is ranked" in old.text
    assert {path.name for path in tmp_path.iterdir()} == {"records", "index.html"}


def test_front_is_what_nothing_beats() -> None:
    rng = np.random.default_rng(0)
    points = {(f"m{i}", ""): (float(x), float(y)) for i, (x, y) in enumerate(rng.integers(0, 6, (40, 2)))}
    for higher in (True, False):
        best = set(series.front(points, higher))
        for name, (x, y) in points.items():
            beaten = False
            for a, b in points.values():
                gain = (b - y) if higher else (y - b)
                beaten |= (a < x and gain >= 0) or (a <= x and gain > 0)
            assert (name in best) != beaten


def test_series_of_the_records(results: Path) -> None:
    (board,) = boards(record.load_all(results), results, fresh, headline)[:1]
    main = board.measures[0]
    curves = series.curves(board)
    assert list(curves) == [("mae", "")]
    own = {name: (x.tolist(), y.tolist()) for name, (x, y) in curves["mae", ""].items()}
    assert own == {"loss": ([10, 20], [3.0, 1.0]), "part": ([10, 20], [2.0, 0.5]), "rankme": ([10, 20], [4.0, 6.0])}
    assert list(series.losses(curves["mae", ""], series.diagnosed(board.records))) == ["loss", "part"]
    arms = series.arms(board, main)
    assert list(arms["ijepa", ""]) == ["1shot", "5shot", "10pct", "100pct"]
    assert arms["ijepa", ""]["1shot"] == pytest.approx(0.41)
    assert {name: sorted(own) for name, own in series.seeds(board, main).items()}["mae", ""] == [0, 1, 2]


def test_kendall_counts_pairs(results: Path) -> None:
    (board,) = boards(record.load_all(results), results, fresh, headline)[:1]
    # A diagnostic that is the number of letters of the name, against the score, by counting pairs.
    for one in board.records:
        one["diagnostics"]["rankme"] = float(len(one["method"]) + 0.001 * sum(map(ord, one["method"])))
    (found,) = [one for one in series.associations(board, board.measures[0], True) if one.name == "rankme"]
    assert ("raw_features", "") not in found.points and ("mae", "") in found.points
    pairs = list(found.points.values())
    signs = [np.sign((a - c) * (b - d)) for i, (a, b) in enumerate(pairs) for c, d in pairs[:i]]
    assert all(signs) and found.tau == pytest.approx(np.mean(signs))
    (turned,) = [one for one in series.associations(board, board.measures[0], False) if one.name == "rankme"]
    assert turned.tau == pytest.approx(-found.tau)


def test_pictures_are_shown_where_they_are_and_missed_where_not(seen: Page) -> None:
    assert "mae, by rhythm: b (20), <script> (10)" in seen.text
    assert "mae, by nuisance noise: 0 to 0.5 (6), 0.6 to 1.1 (6)" in seen.text
    assert "gone, by" not in seen.text, "a record that is no more"
    (image,) = seen.all("img")
    assert image["alt"].startswith("Samples of ecg/simulated as mae sees them")
    assert "show-masks\nijepa ecg" in seen.text and "show-masks\nmae ecg" not in seen.text
    assert "show-masks\nsupervised" not in seen.text


def test_a_claim_has_a_verdict_when_all_of_it_was_run(seen: Page, content: bytes) -> None:
    heads, *lines = seen.tables["claims-index"]
    assert [line[:2] for line in lines] == [
        ["a-done", "not reproduced"],
        ["b-partly", "partly run"],
        ["c-not", "not run"],
    ]
    cells = [dict(zip(heads, line, strict=True)) for line in lines]
    assert (cells[0]["outcome"], cells[0]["detectable"]) == ("0.004 [-0.001, 0.009]", "0.007")
    assert (cells[1]["outcome"], cells[1]["detectable"], cells[1]["runs"], cells[1]["needed"]) == ("", "", "21", "80")
    for number in ("77.7", "88.8", "66.6", "55.5", "above on 1 of 1"):
        assert number not in seen.text, "what part of the cells say is no outcome"
    assert "partly run: no verdict yet" in seen.text and "P 2026" in seen.text and str(Rule(0.02)) in seen.text
    assert "arm minus than: all together 0.004 [-0.001, 0.009]; ecg/one 0.003 [-0.01, 0.02]; <i> 0.005." in seen.text
    assert content.decode().count("all together 0.004") == 1 and "worth 0.02" in seen.text
    assert [own["href"] for own in seen.all("a")].count("#claim-a-done") == 2, "its section, and its rule there"


def test_a_damaged_file_of_claims_is_refused(tmp_path: Path) -> None:
    assert claims.claims(tmp_path) == ([], None)
    tested(tmp_path)
    for text in ("claim,state\na,b\n", "", (tmp_path / command.FILE).read_text().replace("0.004", "<b>")):
        (tmp_path / command.FILE).write_text(text)
        with pytest.raises(
            UsageError, match=r"claims\.csv is not what `claims` writes \(\w+\); run python -m benchmark claims"
        ):
            claims.claims(tmp_path)


@pytest.mark.parametrize("rule", [Rule(0.02), Rule(-0.02, -0.02), Rule(0.1, 0.05)])
def test_a_rule_in_words_is_read_back(rule: Rule) -> None:
    assert Rule.read(str(rule)) == rule and Rule.read(f"{rule}; inconclusive, too, while …") == rule
    assert Rule.read("reproduced if, at every depth, …") is None


def test_prose_marks_code_and_nothing_else() -> None:
    assert page.prose("a ``b<c`` & d") == "a <code>b&lt;c</code> &amp; d"


def test_anchors_do_not_meet() -> None:
    assert anchor("method", "ecgjepa-kim") == "method-ecgjepa-kim"
    made = [anchor("method", name) for name in ("A b", "a b", "a_b", "a-b", "<a b>", "")]
    assert len(set(made)) == len(made) and all(re.fullmatch(r"[a-z0-9-]+", one) for one in made)


def test_inline_svg_takes_the_colours_of_the_page() -> None:
    document = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        'viewBox="0 0 144 72" width="144pt"><metadata>when</metadata><defs><path id="m" d="M 0.123456 1"/></defs>'
        '<g id="unused"><use xlink:href="#m" style="fill: #1f6fb4; font: 9px \'X\'"/></g></svg>'
    )
    markup, rules = inline(document.encode(), "f", "T", "<D>")
    (name,) = rules
    assert rules == {name: "fill:var(--jepa);font-size:9px"}
    id = re.search(r'id="(\w+)-t"', markup)[1]
    assert markup == (
        f'<svg viewBox="0 0 144 72" role="img" aria-labelledby="{id}-t {id}-d" style="width:2.00in">'
        f'<title id="{id}-t">T</title><desc id="{id}-d">&lt;D&gt;</desc><defs><path id="{id}-m" d="M0.1 1"/></defs>'
        f'<use href="#{id}-m" class="{name}"/></svg>'
    )
