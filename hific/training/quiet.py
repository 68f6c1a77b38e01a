"""Messages of libraries that frighten or advertise, and mean nothing here."""

from __future__ import annotations

import logging
import warnings


def silence_known_messages() -> None:
    """Hides advice on paid services and warnings of what is intended: the run's folder exists, since Hydra made it."""
    for message in (
        ".*exists and is not empty.*",
        ".*treespec.*",
        ".*does not have many workers.*",
        ".*is smaller than the logging interval.*",
        ".*torch.distributed.nn.functional.all_gather is deprecated.*",
        ".*The dirpath has changed.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(
        lambda record: "Tip" not in record.getMessage()
    )
