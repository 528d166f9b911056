"""Features of a classifier that was trained on the data at hand."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from gan_zoo.data.dataset import Source
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.metrics.reference_classifier import SmallNet, check_labelled, classifier


class OwnClassifier(Extractor):
    """The 512 features before the last layer of the data's own classifier, trained once on the
    training split.

    It knows what matters in these data, as features of ImageNet need not, but scores over it
    compare with nothing beyond them. Its accuracy on held-out images is in the protocol. Images
    above 32 pixels are resized to 32.

    Raises:
        DataError: when it is prepared, if the data are not labelled images.
    """

    name = "classifier"
    num_features = 512

    def check(self, source: Source) -> None:
        check_labelled(source)

    def prepare(self, source: Source, device: torch.device) -> None:
        network, accuracy = classifier(source, device, self.training_steps)
        assert isinstance(network, SmallNet)
        assert source.num_classes is not None
        self.network, self.num_classes = network, source.num_classes

        # The weights come from no published file, so the hash is that of the tensors.
        digest = hashlib.sha256()
        for tensor in network.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        self.protocol = {
            "extractor": self.name,
            "weights_sha256": digest.hexdigest(),
            "resize": "antialiased bilinear, above 32 pixels",
            "trained_on": source.name,
            "accuracy_on_real": accuracy,
        }

    @torch.no_grad()
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(images.device.type, enabled=False):
            features = self.network.features(images)
            return features, self.network.head(features)
