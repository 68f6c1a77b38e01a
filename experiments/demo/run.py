"""Trains the tiny CompressNet on the bundled photos, writes real files, reads them back, measures (`make demo`)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from experiments.commands import evaluate, parse, train


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(__doc__, "outputs/demo", arguments)
    shutil.rmtree(options.output, ignore_errors=True)
    checkpoint = train(options, ".", "model=sae_spn", "rate=high", "size=tiny", "data=bundled", "trainer=cpu")
    evaluate(options, [checkpoint], "data=bundled", "title='CompressNet demo, tiny size'")
    print(
        f"""
{options.output}: report.md has the table, panel.png the pictures, files/ what was written. Now try your own photo:
  .venv/bin/hific compress photo.jpg --checkpoint {options.output}/last.ckpt
  .venv/bin/hific decompress photo.hfc --checkpoint {options.output}/last.ckpt"""
    )


if __name__ == "__main__":
    main()
