"""report.html: one page of an evaluation that opens from disk and asks no network for anything.

    rows ──────────────┬─ comparisons ─ tables ─┐
                       ├─ curves, bars (SVG) ───┼─ document ─ report.html
    kept pictures ─────┴─ pictures, data (JSON)─┘    with report.css and report.js inside of it

`gallery` is a folder of all pictures for the eye, of the same rows, pictures and style.

A pure function of rows, `ReportContext` and kept reconstructions: `python -m hific.evaluation FOLDER` draws it again.
"""
