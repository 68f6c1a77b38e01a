"""Cards of the shipped models, from rows: hific/zoo/NAME.md.

    python -m experiments.pages

HiFiC's rows are of this command, kodak.parquet with codec=[avif] alone, kodak_effort.parquet with effort=60 (the models
with XGBoost; those without have the same pixels in larger files):

    python evaluate.py checkpoint=[hific-xgboost-low,hific-xgboost-medium,hific-xgboost-high] coders=last \\
        match_to=each both_sides=true codec=[avif,hevc,webp,jpeg2000,jpeg] codec.avif.speed=3 \\
        data=kodak data.root=kodak weights.dir=weights

VVC's files beside the searched ones were made for the files of earlier weights: compared is what they bracket.

CompressNet's, compressnet.parquet and compressnet_effort.parquet, of the same with
checkpoint=[compressnet-low,compressnet-high] and vvc among the codecs, of those with effort=60 too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.pages.evidence import earlier_models
from hific import zoo
from hific.evaluation.columns import metric_column
from hific.evaluation.equal_bytes import NEXT_SIZE, Difference, differences
from hific.evaluation.folder import read_rows
from hific.evaluation.means import SystemSummary, summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.tables import Table

FOLDER = Path(__file__).parent
# Of a family's cards: the text, and the rows without and with the encoder's search.
SOURCES = {
    "hific": ("card.md", "kodak.parquet", "kodak_effort.parquet"),
    "compressnet": ("compressnet_card.md", "compressnet.parquet", "compressnet_effort.parquet"),
}
RIVALS = ("avif", "vvc", "hevc", "webp", "jpeg2000", "jpeg")
METRICS = ("psnr", "ms_ssim", "ssimulacra2", "lpips_alex", "lpips_squeeze", "perceptual_loss", "fsimc", "color_error")
TITLES = {
    "avif": "AVIF",
    "vvc": "VVC",
    "hevc": "HEVC",
    "webp": "WebP",
    "jpeg2000": "JPEG2000",
    "jpeg": "JPEG",
    "perceptual_loss": "conv4",
}


def all_cards() -> dict[str, str]:
    """Markdown by the models' names."""
    cards: dict[str, str] = {}
    for family, (template, *names) in SOURCES.items():
        rows, searched_rows = (read_rows(FOLDER / "results" / name) for name in names)
        text = (FOLDER / template).read_text()
        models = [name for name in zoo.MODELS if name.startswith(family)]
        cards |= {name: card(name, text, rows, searched_rows) for name in models}
    return cards


def card(name: str, template: str, rows: Sequence[Measurement], searched_rows: Sequence[Measurement]) -> str:
    """Markdown. searched_rows: with the encoder's search, which their systems' names end in."""
    measured = f"hific-xgboost-{name.rpartition('-')[2]}" if name.startswith("hific") else name
    coded, searched = (_system(one, f"{measured}, ") for one in (rows, searched_rows))
    against, searched_against = (
        {rival: _differences(some, one.system, rival) for rival in RIVALS if _has(some, rival, one.system)}
        for some, one in ((rows, coded), (searched_rows, searched))
    )
    effort, model = searched.system.rpartition("effort ")[2], zoo.describe(name)
    return template.format(
        name=name,
        rate_weight=model.training.get("rate_weight"),
        batches=model.training["batches"],
        own_synthesis=_own_synthesis(model.training),
        first=f"Against {_first(against['avif'])}{_earlier(coded.rows)}",
        searched_first=f"With `--effort {effort}`, against {_first(searched_against['avif'])}{_earlier(searched.rows)}",
        effort=effort,
        searched_bytes=f"{searched.mean(lambda row: row.num_bytes):.0f}",
        searched_bpp=f"{searched.mean(lambda row: row.bpp):.3f}",
        searched_means=_means(searched),
        searched_seconds=f"{searched.mean(lambda row: row.encode_seconds):.0f}",
        searched_table=_table(searched_against).to_markdown().strip(),
        searched_commit=searched.rows[0].provenance.commit,
        context=_context(name),
        num_bytes=f"{coded.mean(lambda row: row.num_bytes):.0f}",
        bpp=f"{coded.mean(lambda row: row.bpp):.3f}",
        means=_means(coded),
        table=_table(against).to_markdown().strip(),
        commit=coded.rows[0].provenance.commit,
        fingerprint=model.fingerprint[:8],
    )


def _own_synthesis(training: Mapping[str, Any]) -> str:
    if "synthesis_batches" not in training:
        return ""
    batches = training["synthesis_batches"]
    return f"\nAt last this rate's synthesis alone, over latents as they were: {batches} batches more."


def _earlier(rows: Sequence[Measurement]) -> str:
    return " **These numbers are of the model as it was before its latest training.**" if earlier_models(rows) else ""


def _has(rows: Sequence[Measurement], rival: str, learned: str) -> bool:
    return any(row.system == f"{rival} <= {learned}" for row in rows)


def _system(rows: Sequence[Measurement], start: str) -> SystemSummary:
    return next(one for one in summarize(rows) if one.system.startswith(start))


def _differences(rows: Sequence[Measurement], learned: str, rival: str) -> Mapping[str, Difference]:
    matched = f"{rival} <= {learned}"
    needed = [row for row in rows if row.system in (learned, matched, matched + NEXT_SIZE)]
    return {one.metric: one for one in differences(needed, learned, matched) if one.metric in METRICS}


def _first(avif: Mapping[str, Difference]) -> str:
    """What falls short before what does not."""
    told = []
    for verdict, words in (("worse", "worse"), ("level", "not told apart"), ("better", "better")):
        found = [_told(one) for one in avif.values() if one.verdict == verdict]
        if found:
            told.append(f"{words} in {', '.join(found)}")
    some = next(iter(avif.values()))
    return f"AVIF (speed 3) at equal bytes on {some.n} of {some.total} Kodak photos: {'; '.join(told)}."


def _told(one: Difference) -> str:
    digits = metric_column(one.metric).digits + (one.metric != "psnr")
    title = TITLES.get(one.metric, metric_column(one.metric).title)
    return f"{title} ({one.mean:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}])"


def _context(name: str) -> str:
    plain = name.replace("xgboost-", "")
    if name == plain:
        smaller = name.replace("hific-", "hific-xgboost-")
        return (
            f"Files by tables alone; `{smaller}` writes the same pixels in less, and all numbers here are of its files "
            "([this model's own are larger](../../experiments/table1_file_size/README.md))."
        )
    return f"The same network and pixels as `{plain}`; an XGBoost context model makes the files smaller."


def _means(coded: SystemSummary) -> str:
    values = []
    for metric in METRICS:
        column, mean = metric_column(metric), coded.metric(metric).value
        if mean is not None:
            values.append(f"{TITLES.get(metric, column.title)} {mean:.{column.digits}f}")
    return ", ".join(values)


def _table(against: Mapping[str, Mapping[str, Difference]]) -> Table:
    header = ("against, at equal bytes", "photos", *(TITLES.get(one, metric_column(one).title) for one in METRICS))
    body = []
    for rival, found in against.items():
        some = next(iter(found.values()), None)
        cells = [_cell(found[metric]) if metric in found else "" for metric in METRICS]
        body.append((TITLES[rival], f"{some.n} of {some.total}" if some else "none so small", *cells))
    return Table(header, tuple(body))


def _cell(one: Difference) -> str:
    digits = metric_column(one.metric).digits
    cell = f"{one.mean:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
    return {"better": f"**{cell}**", "worse": f"{cell} ✗", "level": f"{cell} ="}[one.verdict]
