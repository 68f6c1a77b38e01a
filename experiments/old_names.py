"""TO BE DELETED when conf/ has the names that study.yaml files use: those names as today's conf/ has them."""

from __future__ import annotations

from collections.abc import Sequence

_WHOLE = {
    "recipe.initialization=lapped": ["model.model.start=linear"],
    "recipe.initialization=klt": ["model.model.start=linear", "callbacks.start.steps=0"],
    "recipe.initialization=random": ["model.model.start=random"],
    "context_model=adaptive": ["model.coding=table"],
    "coders=last": ["codings=last"],
    "coders=[context_coded]": ["codings=[context]"],
    "postfilter.num_photos=4": [],
    "context_model.num_photos=4": [],
}
_BEGINNINGS = {
    "init_from=": "model.init_from=",
    "base_checkpoint=": "model.base_checkpoint=",
    "context_model=": "model.coding=",
    "context_model.": "neighbor.xgboost.",
    "postfilter=": "model.refine=",
    "recipe.crop=": "data.crop=",
    "recipe.batch_size=": "data.batch_size=",
    "recipe.steps=": "size.max_steps=",
    "recipe.val_check_interval=": "size.val_check_interval=",
    "recipe.initialization_steps=": "callbacks.start.steps=",
    "recipe.normalization=": "model.model.normalization=",
}


def todays_names(overrides: Sequence[str], family: str = "") -> tuple[str, ...]:
    model = next((one for one in reversed(overrides) if one.startswith("model=")), f"model={family}")
    beginnings = {**_BEGINNINGS, "recipe.": f"size.{'hific' if 'hific' in model else 'compressnet'}."}
    return tuple(today for one in overrides for today in _WHOLE.get(one, [_renamed(one, beginnings)]))


def _renamed(override: str, beginnings: dict[str, str]) -> str:
    for new, old in beginnings.items():
        if override.startswith(new):
            return old + override.removeprefix(new)
    return override.replace(", xgboost, post-filter", ", neighbor, refined").replace(", xgboost", ", neighbor")
