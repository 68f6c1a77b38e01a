"""Cards of the shipped models, from rows: hific/zoo/NAME.md.

    python -m experiments.campaign.cards experiments/campaign/results/kodak{,_effort}.parquet

The rows are of this command, the first with codec=[avif] alone, the second with effort=60 (the models with XGBoost;
those without have the same pixels in larger files):

    python evaluate.py checkpoint=[hific-xgboost-low,hific-xgboost-medium,hific-xgboost-high] coders=last \\
        match_to=each both_sides=true codec=[avif,hevc,webp,jpeg2000,jpeg] codec.avif.speed=3 \\
        data=kodak data.root=kodak weights.dir=weights
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.campaign.make_zoo import WEIGHTS
from hific import zoo
from hific.evaluation.columns import metric_column
from hific.evaluation.equal_bytes import NEXT_SIZE, Difference, differences
from hific.evaluation.folder import read_rows
from hific.evaluation.means import SystemSummary, summarize
from hific.evaluation.measurement import Measurement
from hific.evaluation.tables import Table
from hific.io.write_whole import write_whole

TEMPLATE = Path(__file__).with_name("card.md")
RIVALS = ("avif", "hevc", "webp", "jpeg2000", "jpeg")
METRICS = ("psnr", "ms_ssim", "ssimulacra2", "lpips_alex", "lpips_squeeze", "perceptual_loss", "fsimc", "color_error")
TITLES = {
    "avif": "AVIF",
    "hevc": "HEVC",
    "webp": "WebP",
    "jpeg2000": "JPEG2000",
    "jpeg": "JPEG",
    "perceptual_loss": "conv4",
}


def card(name: str, rows: Sequence[Measurement], searched_rows: Sequence[Measurement]) -> str:
    """Markdown. searched_rows: with the encoder's search, which their systems' names end in."""
    rate = name.rpartition("-")[2]
    coded, searched = (_system(one, f"hific-xgboost-{rate}, ") for one in (rows, searched_rows))
    against = {rival: _differences(rows, coded.system, rival) for rival in RIVALS}
    searched_against = {rival: _differences(searched_rows, searched.system, rival) for rival in RIVALS}
    effort = searched.system.rpartition("effort ")[2]
    return TEMPLATE.read_text().format(
        name=name,
        rate_weight=WEIGHTS[rate],
        batches=zoo.describe(name).training["batches"],
        first=f"Against {_first(against['avif'])}",
        searched_first=f"With `--effort {effort}`, against {_first(searched_against['avif'])}",
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
        fingerprint=zoo.describe(name).fingerprint[:8],
    )


def _system(rows: Sequence[Measurement], start: str) -> SystemSummary:
    return next(one for one in summarize(rows) if one.system.startswith(start))


def _differences(rows: Sequence[Measurement], learned: str, rival: str) -> dict[str, Difference]:
    matched = f"{rival} <= {learned}"
    needed = [row for row in rows if row.system in (learned, matched, matched + NEXT_SIZE)]
    return {one.metric: one for one in differences(needed, learned, matched) if one.metric in METRICS}


def _first(avif: dict[str, Difference]) -> str:
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
        return f"Files by tables alone; `{name.replace('hific-', 'hific-xgboost-')}` writes the same pixels in less."
    return f"The same network and pixels as `{plain}`; an XGBoost context model makes the files smaller."


def _means(coded: SystemSummary) -> str:
    values = []
    for metric in METRICS:
        column, mean = metric_column(metric), coded.metric(metric).value
        if mean is not None:
            values.append(f"{TITLES.get(metric, column.title)} {mean:.{column.digits}f}")
    return ", ".join(values)


def _table(against: dict[str, dict[str, Difference]]) -> Table:
    header = ("against, at equal bytes", "photos", *(TITLES.get(one, metric_column(one).title) for one in METRICS))
    body = []
    for rival, found in against.items():
        some = next(iter(found.values()), None)
        cells = [_cell(found[metric]) if metric in found else "" for metric in METRICS]
        body.append((TITLES[rival], f"{some.n} of {some.total}" if some else "none", *cells))
    return Table(header, tuple(body))


def _cell(one: Difference) -> str:
    digits = metric_column(one.metric).digits
    cell = f"{one.mean:+.{digits}f} [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
    return {"better": f"**{cell}**", "worse": f"{cell} ✗", "level": f"{cell} ="}[one.verdict]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("searched_rows", type=Path)
    options = parser.parse_args(arguments)
    rows, searched_rows = read_rows(options.rows), read_rows(options.searched_rows)
    for name in zoo.MODELS:
        write_whole(zoo.FOLDER / f"{name}.md", card(name, rows, searched_rows))


if __name__ == "__main__":
    main()
