"""`hific study results`: rows, tables and a figure of the votes so far. Nothing is asked, and nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hific.errors import OptionError
from hific.evaluation.folder import write_table
from hific.evaluation.plots import color_of, plain_axes, save_figure
from hific.evaluation.tables import Table
from hific.io.write_whole import write_whole
from hific.study.manifest import VOTES, Manifest, read_manifest
from hific.study.preferences import PRIOR_VOTES, RESAMPLES, Ballots, Estimate, Share
from hific.study.tally import Tally, Voter, tally
from hific.study.votes import VoteStore

Shares = list[tuple[str, str, Share]]
# The same votes fitted again differ by rounding.
NO_WIDTH = 1e-6


def write_results(folder: Path, output: Path | None = None, *, catch_errors: int = 0) -> list[Path]:
    """votes.parquet and .csv, report.md, a .md and .tex of each table, preferences.png and .svg; returns all paths.
    OptionError where there is no study, or no vote that counts."""
    if catch_errors < 0:
        raise OptionError(f"--catch-errors {catch_errors} must be 0 or more")
    manifest, manifest_hash = read_manifest(folder)
    if not (folder / VOTES).is_file():
        raise OptionError(f"{folder} has no votes yet: hific study serve {folder}")
    store = VoteStore(folder, manifest, manifest_hash)
    try:
        counted = tally(manifest, store, catch_errors)
    finally:
        store.close()
    if not counted.counted:
        raise OptionError(f"{folder} has no votes that count: {exclusions(counted.voters) or 'nobody was there yet'}")
    target = output or folder / "results"
    ballots = counted.ballots()
    shares, scores = pair_shares(manifest, ballots), ballots.scores()
    tables = {
        "preferences": preference_table(shares, len(ballots.wins)),
        "scores": score_table(manifest, scores),
        "by_image": image_table(counted),
        "by_participant": participant_table(counted.voters),
    }
    written = [*write_table(counted.rows(), target / "votes.parquet")]
    written += save_figure(draw(manifest, shares, scores), target / "preferences")
    texts = {f"{name}.md": table.to_markdown() for name, table in tables.items()}
    texts |= {f"{name}.tex": table.to_latex() for name, table in tables.items()}
    texts["report.md"] = report(counted, tables, manifest_hash)
    for name, text in texts.items():
        write_whole(target / name, text)
    return [*written, *(target / name for name in texts)]


def pair_shares(manifest: Manifest, ballots: Ballots) -> Shares:
    """Of each two systems that have votes."""
    found = []
    for (i, first), (j, second) in combinations(enumerate(manifest.systems), 2):
        share = ballots.share(i, j)
        if share is not None:
            found.append((first, second, share))
    return found


def preference_table(shares: Shares, participants: int) -> Table:
    body = tuple((first, second, *_share_cells(share)) for first, second, share in shares)
    note = (
        f"Share of votes for the first, with 95 % intervals by bootstrap over participants ({RESAMPLES} times); where "
        "all agree, by how many could have agreed by chance. Photos are taken as given."
    )
    few = (f"{participants} participants: intervals of so few are rough.",) if participants < 10 else ()
    return Table(("system", "against", "preferred", "95 % interval", "votes", "participants"), body, (note, *few))


def _share_cells(share: Share) -> tuple[str, ...]:
    one = share.estimate
    return (f"{100 * one.value:.1f} %", _interval(one, "{:.1f}", 100), str(share.votes), str(share.participants))


def _interval(one: Estimate, form: str, factor: float = 1) -> str:
    """Empty where there is none, and where a bootstrap of people who all agree has no width."""
    if one.low is None or one.high is None or one.high - one.low < NO_WIDTH:
        return ""
    return f"[{form.format(factor * one.low)}, {form.format(factor * one.high)}]"


def score_table(manifest: Manifest, scores: Sequence[Estimate] | None) -> Table:
    """From the best; without lines where systems have no scale in common."""
    if scores is None:
        reason = "absent: some systems were never compared with the others, not even by way of a third"
        return Table(("system", "score", "95 % interval"), (), (reason,))
    ranked = sorted(zip(manifest.systems, scores, strict=True), key=lambda one: -one[1].value)
    body = tuple((name, f"{one.value:.2f}", _interval(one, "{:.2f}")) for name, one in ranked)
    note = (
        "Bradley-Terry scores in log odds, mean 0: one that is higher by d is preferred with 1 / (1 + exp(-d)), "
        "by .5 in 62 %, by 1 in 73 %, by 2 in 88 %. Each two that were compared have "
        f"{PRIOR_VOTES:g} votes more each way, so that one that always won has a score. Intervals by the same "
        "bootstrap; none where all agree, as it has no width there."
    )
    return Table(("system", "score", "95 % interval"), body, (note,))


def image_table(counted: Tally) -> Table:
    manifest = counted.manifest
    sizes = {
        (manifest.crops[pair.crop].photo, name): number
        for pair in manifest.pairs
        for name, number in zip(pair.systems, pair.num_bytes, strict=True)
    }
    body = []
    for photo in dict.fromkeys(crop.photo for crop in manifest.crops):
        for first, second, share in pair_shares(manifest, counted.ballots(photo)):
            num_bytes = (str(sizes[photo, first]), str(sizes[photo, second]))
            body.append((photo, first, second, *num_bytes, *_share_cells(share)))
    header = ("image", "system", "against", "bytes", "its bytes", "preferred", "95 % interval", "votes", "participants")
    return Table(header, tuple(body))


def participant_table(voters: Sequence[Voter]) -> Table:
    """By numbers, without the codes that open sessions."""
    header = (
        "participant",
        "trials",
        "catches wrong",
        "median s",
        "looks a trial",
        "chose A",
        "layouts",
        "pixel ratio",
    )
    return Table((*header, "window", "excluded"), tuple(_participant_cells(voter) for voter in voters))


def _participant_cells(voter: Voter) -> tuple[str, ...]:
    votes, screen = voter.votes, voter.screen
    wrong, catches = voter.caught
    asked = [vote for vote in votes if not vote.is_catch]
    return (
        str(voter.participant.number),
        f"{len(votes)} of {voter.trials}",
        f"{wrong} of {catches}",
        f"{median(vote.milliseconds for vote in votes) / 1000:.1f}" if votes else "",
        f"{sum(vote.looks for vote in votes) / len(votes):.1f}" if votes else "",
        f"{100 * sum(vote.side == 'a' for vote in asked) / len(asked):.0f} %" if asked else "",
        ", ".join(dict.fromkeys(vote.layout for vote in votes)),
        ", ".join(dict.fromkeys(f"{vote.pixel_ratio:g}" for vote in votes)),
        f"{screen.window_width}x{screen.window_height}{', touch' if screen.touch else ''}" if screen else "",
        voter.excluded,
    )


def exclusions(voters: Sequence[Voter]) -> str:
    """Such as "no votes (1), wrong in 2 of 4 catch trials (3)"."""
    reasons = Counter(voter.excluded for voter in voters if voter.excluded)
    return ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))


def report(counted: Tally, tables: dict[str, Table], manifest_hash: str) -> str:
    manifest, voters = counted.manifest, counted.voters
    allowed = f"at most {counted.catch_errors} wrong answers are" if counted.catch_errors else "no wrong answer is"
    out = sum(bool(voter.excluded) for voter in voters)
    unfinished = sum(not voter.excluded and len(voter.votes) < voter.trials for voter in voters)
    pairs, total = manifest.matched
    excluded = f": {exclusions(voters)}" if out else ""
    unmatched = "; the others were not shown" if pairs < total else ""
    protocol = (
        f"{len(voters)} participants agreed to take part; {out} are excluded{excluded} ({allowed} "
        "allowed in catch trials, which show the original itself beside a blurred one). "
        f"{len(counted.counted)} votes count, of {len(voters) - out} participants, {unfinished} of them unfinished. "
        f"Crops of at most {manifest.crop_size} pixels a side at one device pixel each, sides and order random by "
        f"participant. Bytes are matched by image: {pairs} of {total} pairs of systems and photos are within "
        f"{100 * manifest.tolerance:g} % of the larger ({100 * pairs / total:.0f} %){unmatched}."
    )
    headings = {
        "preferences": "Preferences",
        "scores": "Scores",
        "by_image": "By image",
        "by_participant": "By participant",
    }
    parts = [f"# {manifest.title}", f"> {manifest.question}", protocol]
    for name, table in tables.items():
        parts.append(f"## {headings[name]}\n\n{table.to_markdown()}".strip())
        if name == "preferences":
            parts.append("![shares of preference, and scores](preferences.png)")
    parts.append(
        f"## Provenance\n\n* study: `{manifest_hash}`\n* measurements: `{manifest.evaluation}`\n* made with: "
        f"`{manifest.versions}`\n* seed: `{manifest.seed}`"
    )
    return "\n\n".join(parts) + "\n"


def draw(manifest: Manifest, shares: Shares, scores: Sequence[Estimate] | None) -> Figure:
    """Left a bar for each two systems, from the share of the first to that of the second, with the interval where they
    meet; right the scores, from the best."""
    lines = max(len(shares), len(manifest.systems))
    figure = Figure(figsize=(11, 0.5 * lines + 1.3), layout="constrained")
    left, right = plain_axes(figure, 2)
    color = {name: color_of(number) for number, name in enumerate(manifest.systems)}
    for place, (first, second, share) in enumerate(shares):
        one = share.estimate
        left.barh(place, 100 * one.value, color=color[first], height=0.55)
        left.barh(place, 100 * (1 - one.value), left=100 * one.value, color=color[second], height=0.55)
        _whisker(left, one, place, 100)
        for x, name, value, side in ((0.8, first, one.value, "left"), (99.2, second, 1 - one.value, "right")):
            left.text(x, place - 0.3, f"{name}  {100 * value:.0f} %", ha=side, va="bottom", fontsize=9)
    left.axvline(50, color="#1a1a1a", linewidth=0.8, linestyle=":")
    left.set(xlim=(0, 100), ylim=(len(shares) - 0.5, -0.75), xlabel="preferred in % of votes")
    left.set_yticks([])
    left.grid(visible=False)
    if scores is None:
        right.set_axis_off()
        return figure
    ranked = sorted(zip(manifest.systems, scores, strict=True), key=lambda one: -one[1].value)
    for place, (name, one) in enumerate(ranked):
        _whisker(right, one, place, 1)
        right.plot(one.value, place, "o", color=color[name], markersize=9, zorder=3)
    right.set_yticks(range(len(ranked)), [name for name, _ in ranked])
    right.set(ylim=(len(ranked) - 0.5, -0.5), xlabel="Bradley-Terry score, log odds")
    return figure


def _whisker(axis: Axes, one: Estimate, place: int, factor: float) -> None:
    if one.low is not None and one.high is not None:
        ends = [factor * one.low, factor * one.high]
        axis.plot(ends, [place, place], "|-", color="#1a1a1a", linewidth=1.6, markersize=9)
