"""Tables and figures, each a folder with a study.yaml; `python -m experiments --list` shows them."""
