"""Lightning talks about things a run has no say in; what is ours stays loud."""

from __future__ import annotations

import logging
import warnings

IRRELEVANT = (
    ".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*",
    ".*module\\(s\\) in eval mode at the start of training.*",  # the averaged generator
    ".*does not have many workers.*",
    ".*Experiment logs directory .* exists and is not empty.*",
    ".*Checkpoint directory .* exists and is not empty.*",
    ".*GPU available but not used.*",
    ".*does not have `__len__`.*",
    # Of processes without samples, whose sums are zeros and which take part in the reduction.
    r"The ``compute`` method of metric \w+ was called before the ``update`` method.*",
)


def quiet() -> None:
    """Silence Lightning's start-up remarks on this process."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in IRRELEVANT:
        warnings.filterwarnings("ignore", message=message)
