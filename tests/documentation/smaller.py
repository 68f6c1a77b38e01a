"""Commands of pages with settings that take seconds: python smaller.py WORDS runs `python WORDS`, made smaller.

train.py and evaluate.py get what size=smoke of the studies gives them, but for what the page says itself; studies are
planned and not run, and a search takes one step.
"""

from __future__ import annotations

import os
import re
import sys

from experiments.study import read_sizes

STEPS = re.compile(r"^(recipe\.stage[12]_steps=)\d{2,}$")
NETWORKS = ("size=", "recipe.latent_channels=", "recipe.hyper_channels=")


def smaller(words: list[str]) -> list[str]:
    if words[:1] == ["train.py"]:
        family = "hific" if any(word.startswith("model=hific") for word in words) else "compressnet"
        fine_tuned = any(word.startswith("init_from=") for word in words)  # whose networks are what they are
        said = [STEPS.sub(r"\g<1>2", word) for word in words if fine_tuned or not word.startswith("size=")]
        overrides = read_sizes(family)["smoke"].train
        if fine_tuned:
            overrides = tuple(one for one in overrides if not one.startswith(NETWORKS))
        if any(word.startswith("base_checkpoint=") for word in words):  # whose recipe is what it was trained with
            overrides = tuple(one for one in overrides if not one.startswith(("recipe.", "size=")))
        return [*said, *_unsaid(said, overrides)]
    if words[:1] == ["evaluate.py"]:
        return [*words, *_unsaid(words, read_sizes("hific")["smoke"].evaluate)]
    if words[:2] == ["-m", "experiments"] and "--list" not in words:
        return [*words[:2], "--dry-run", *words[2:]]
    if words[:2] == ["-m", "experiments.pages"]:
        return [*words, "--check"]
    if "--effort" in words:
        place = words.index("--effort") + 1
        return [*words[:place], "1", *words[place + 1 :]]
    return words


def _unsaid(words: list[str], overrides: tuple[str, ...]) -> list[str]:
    said = {word.partition("=")[0] for word in words}
    return [one for one in overrides if one.partition("=")[0] not in said]


if __name__ == "__main__":
    os.execv(sys.executable, [sys.executable, *smaller(sys.argv[1:])])
