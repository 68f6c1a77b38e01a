"""People look: which of two reconstructions of equal bytes is closer to the original.

    evaluation folder ─ make ─ study folder ─ serve ─ votes.sqlite ─ results ─ rows, tables, figure
                         │      manifest.json │ app, page/            │ preferences (shares, Bradley-Terry)
                         │      pictures/     │ votes (SQLite)        │ tables, plots
                         └ pairs, crops       └ sessions (which trials, by seed)

`manifest` is what all of them share. Needs the extra `study`.
"""
