"""An evaluation by real codecs, and a study of it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from hific.codecs.pillow_codecs import PillowCodec, PillowFamily
from hific.evaluation.codecs_under_test import EncodeSpec, FixedCodec
from hific.evaluation.evaluate import EvaluationImage
from hific.evaluation.folder import EvaluationFolder, write_rows
from hific.evaluation.metrics_of import Metrics
from hific.evaluation.run import measure_all
from hific.metrics.fidelity import PSNR
from hific.study.make import StudyOptions, make_study

TEXTS = {"question": "Closer & closer?", "consent": "Read <this>.\n\nThen agree."}


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JPEG2000 over three photos, and two codecs at its bytes and above; of "rocket" no pictures were kept."""
    photo = skimage.data.astronaut()
    photos = {"face <1>": photo[:200, 100:440], "suit": photo[200:440, 60:300], "rocket": photo[200:300, 400:500]}
    images = [EvaluationImage(name, partial(np.array, pixels)) for name, pixels in photos.items()]
    learned = [FixedCodec("j2k, 1120", EncodeSpec(PillowCodec("jpeg2000", 1120), setting="1120", fingerprint="ab"))]
    folder = EvaluationFolder(tmp_path_factory.mktemp("evaluation"), keep={"face <1>", "suit"})
    families = [PillowFamily("jpeg"), PillowFamily("webp")]
    rows = measure_all(learned, families, ["j2k, 1120"], images, Metrics([PSNR()]), folder, both_sides=True)
    write_rows(rows, folder.root / "measurements")
    return folder.root


@pytest.fixture(scope="session")
def made_study(evaluation: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pairs of 3 systems in two crops of 120 pixels; not to be written to."""
    folder = tmp_path_factory.mktemp("study") / "made"
    make_study(evaluation, folder, StudyOptions(crop_size=120, tolerance=0.5, trials=6, catches=2, **TEXTS))
    return folder


@pytest.fixture
def study(made_study: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(made_study, tmp_path / "study"))
