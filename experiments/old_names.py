"""TO BE DELETED when conf/ has the names that study.yaml files use: those names as today's conf/ has them."""

from __future__ import annotations

from collections.abc import Sequence

_WHOLE = {
    "initialization=lapped": ["model.model.start=linear"],
    "initialization=klt": ["model.model.start=linear", "callbacks.start.steps=0"],
    "initialization=random": ["model.model.start=random"],
    "context_model=adaptive": ["model.coding=table"],
    "coders=last": ["codings=last"],
    "coders=[context_coded]": ["codings=[context]"],
}
_BEGINNINGS = {
    "initialization.steps=": "callbacks.start.steps=",
    "context_model.num_photos=": "callbacks.tables.num_photos=",
    "context_model=": "model.coding=",
    "context_model.": "neighbor.xgboost.",
    "postfilter=": "model.refine=",
    "recipe.max_steps=": "size.max_steps=",
    "recipe.val_check_interval=": "size.val_check_interval=",
}


def todays_names(overrides: Sequence[str], family: str = "") -> tuple[str, ...]:
    model = next((one for one in reversed(overrides) if one.startswith("model=")), f"model={family}")
    beginnings = {**_BEGINNINGS, "recipe.": f"size.{'hific' if 'hific' in model else 'compressnet'}."}
    return tuple(today for one in overrides for today in _WHOLE.get(one) or [_renamed(one, beginnings)])


def _renamed(override: str, beginnings: dict[str, str]) -> str:
    for new, old in beginnings.items():
        if override.startswith(new):
            return old + override.removeprefix(new)
    return override.replace(", context_coded, filtered", ", neighbor, refined").replace(", context_coded", ", neighbor")
