"""gan_zoo: a research framework for GAN variants.

The parts are here under their own names: ``from gan_zoo import DataModule, GANModule, fit``. Each is imported when it
is first asked for, so that ``import gan_zoo`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_zoo.callbacks.doctor import Doctor as Doctor
    from gan_zoo.callbacks.samples import SampleGrid as SampleGrid
    from gan_zoo.data.captioned_folder import captioned_folder as captioned_folder
    from gan_zoo.data.celeba import celeba as celeba
    from gan_zoo.data.datamodule import DataModule as DataModule
    from gan_zoo.data.digits import digits as digits
    from gan_zoo.data.folders import paired_folder as paired_folder
    from gan_zoo.data.folders import unpaired_folder as unpaired_folder
    from gan_zoo.data.huggingface import huggingface as huggingface
    from gan_zoo.data.image_folder import image_folder as image_folder
    from gan_zoo.data.lsun import lsun as lsun
    from gan_zoo.data.mixtures import grid as grid
    from gan_zoo.data.mixtures import ring as ring
    from gan_zoo.data.mixtures import spiral as spiral
    from gan_zoo.data.openmoji import openmoji as openmoji
    from gan_zoo.data.openmoji import openmoji_captions as openmoji_captions
    from gan_zoo.data.openmoji import openmoji_lines as openmoji_lines
    from gan_zoo.data.source import Source as Source
    from gan_zoo.data.stacked_mnist import stacked_mnist as stacked_mnist
    from gan_zoo.data.torchvision_sets import cifar10 as cifar10
    from gan_zoo.data.torchvision_sets import cifar100 as cifar100
    from gan_zoo.data.torchvision_sets import fashion_mnist as fashion_mnist
    from gan_zoo.data.torchvision_sets import kmnist as kmnist
    from gan_zoo.data.torchvision_sets import mnist as mnist
    from gan_zoo.data.torchvision_sets import stl10 as stl10
    from gan_zoo.data.torchvision_sets import svhn as svhn
    from gan_zoo.exporting import export as export
    from gan_zoo.fitting import fit as fit
    from gan_zoo.games.acgan import ACGAN as ACGAN
    from gan_zoo.games.base import Game as Game
    from gan_zoo.games.cgan import CGAN as CGAN
    from gan_zoo.games.cgan_single import ConditionalGAN as ConditionalGAN
    from gan_zoo.games.cyclegan import CycleGAN as CycleGAN
    from gan_zoo.games.feature_matching import FeatureMatching as FeatureMatching
    from gan_zoo.games.gan import GAN as GAN
    from gan_zoo.games.infogan import InfoGAN as InfoGAN
    from gan_zoo.games.pix2pix import Pix2Pix as Pix2Pix
    from gan_zoo.games.vae import VAE as VAE
    from gan_zoo.games.vae_gan import VAEGAN as VAEGAN
    from gan_zoo.loggers import CSVLog as CSVLog
    from gan_zoo.loggers import History as History
    from gan_zoo.losses.base import Loss as Loss
    from gan_zoo.losses.began import BEGAN as BEGAN
    from gan_zoo.losses.ebgan import EBGAN as EBGAN
    from gan_zoo.losses.exponential import Exponential as Exponential
    from gan_zoo.losses.f_gan import FGAN as FGAN
    from gan_zoo.losses.fisher import Fisher as Fisher
    from gan_zoo.losses.hinge import Hinge as Hinge
    from gan_zoo.losses.least_squares import LeastSquares as LeastSquares
    from gan_zoo.losses.logistic import Minimax as Minimax
    from gan_zoo.losses.logistic import NonSaturating as NonSaturating
    from gan_zoo.losses.loss_sensitive import LossSensitive as LossSensitive
    from gan_zoo.losses.relativistic import RelativisticAverage as RelativisticAverage
    from gan_zoo.losses.relativistic import RelativisticAverageHinge as RelativisticAverageHinge
    from gan_zoo.losses.relativistic import RelativisticAverageLeastSquares as RelativisticAverageLeastSquares
    from gan_zoo.losses.relativistic import RelativisticPaired as RelativisticPaired
    from gan_zoo.losses.wasserstein import Wasserstein as Wasserstein
    from gan_zoo.module import GANModule as GANModule
    from gan_zoo.networks.augment import ADAugment as ADAugment
    from gan_zoo.networks.augment import AugmentedCritic as AugmentedCritic
    from gan_zoo.networks.augment import DiffAugment as DiffAugment
    from gan_zoo.networks.autoencoder import AutoEncoder as AutoEncoder
    from gan_zoo.networks.conditions import BagOfWords as BagOfWords
    from gan_zoo.networks.conditions import ClassCondition as ClassCondition
    from gan_zoo.networks.conditions import ImageCondition as ImageCondition
    from gan_zoo.networks.conditions import RecurrentText as RecurrentText
    from gan_zoo.networks.conditions import VectorCondition as VectorCondition
    from gan_zoo.networks.dcgan import DCGANDiscriminator as DCGANDiscriminator
    from gan_zoo.networks.dcgan import DCGANGenerator as DCGANGenerator
    from gan_zoo.networks.encoders import DCGANEncoder as DCGANEncoder
    from gan_zoo.networks.encoders import MLPEncoder as MLPEncoder
    from gan_zoo.networks.mlp import MLPDiscriminator as MLPDiscriminator
    from gan_zoo.networks.mlp import MLPGenerator as MLPGenerator
    from gan_zoo.networks.patchgan import PatchGAN as PatchGAN
    from gan_zoo.networks.r3gan import R3GANDiscriminator as R3GANDiscriminator
    from gan_zoo.networks.r3gan import R3GANGenerator as R3GANGenerator
    from gan_zoo.networks.resnet import ResNetDiscriminator as ResNetDiscriminator
    from gan_zoo.networks.resnet import ResNetGenerator as ResNetGenerator
    from gan_zoo.networks.translators import ResNetTranslator as ResNetTranslator
    from gan_zoo.networks.translators import UNetTranslator as UNetTranslator
    from gan_zoo.pictures import picture as picture
    from gan_zoo.regularizers.ada import AdaptiveAugmentation as AdaptiveAugmentation
    from gan_zoo.regularizers.base import Regularizer as Regularizer
    from gan_zoo.regularizers.consistency import Consistency as Consistency
    from gan_zoo.regularizers.dragan import DRAGAN as DRAGAN
    from gan_zoo.regularizers.fade import Fade as Fade
    from gan_zoo.regularizers.gradient_penalty import GradientPenalty as GradientPenalty
    from gan_zoo.regularizers.lecam import LeCam as LeCam
    from gan_zoo.regularizers.orthogonal import Orthogonal as Orthogonal
    from gan_zoo.regularizers.weight_clip import WeightClip as WeightClip
    from gan_zoo.regularizers.zero_centered import R1 as R1
    from gan_zoo.regularizers.zero_centered import R2 as R2
    from gan_zoo.sampling import samples as samples
    from gan_zoo.schedules import ConstantThenLinear as ConstantThenLinear
    from gan_zoo.schedules import Cosine as Cosine
    from gan_zoo.terms.classification import CrossEntropy as CrossEntropy
    from gan_zoo.terms.classification import Focal as Focal
    from gan_zoo.terms.reconstruction import L1 as L1
    from gan_zoo.terms.reconstruction import L2 as L2
    from gan_zoo.terms.reconstruction import SSIM as SSIM
    from gan_zoo.terms.reconstruction import Charbonnier as Charbonnier
    from gan_zoo.terms.reconstruction import Huber as Huber
    from gan_zoo.terms.reconstruction import LogCosh as LogCosh
    from gan_zoo.terms.reconstruction import SmoothL1 as SmoothL1
    from gan_zoo.types import Batch as Batch
    from gan_zoo.types import Critique as Critique
    from gan_zoo.types import Duel as Duel

__version__ = "0.1.0"

_PARTS = {
    "callbacks.doctor": "Doctor",
    "callbacks.samples": "SampleGrid",
    "data.captioned_folder": "captioned_folder",
    "data.celeba": "celeba",
    "data.datamodule": "DataModule",
    "data.digits": "digits",
    "data.folders": "paired_folder unpaired_folder",
    "data.huggingface": "huggingface",
    "data.image_folder": "image_folder",
    "data.lsun": "lsun",
    "data.mixtures": "grid ring spiral",
    "data.openmoji": "openmoji openmoji_captions openmoji_lines",
    "data.source": "Source",
    "data.stacked_mnist": "stacked_mnist",
    "data.torchvision_sets": "cifar10 cifar100 fashion_mnist kmnist mnist stl10 svhn",
    "exporting": "export",
    "fitting": "fit",
    "games.acgan": "ACGAN",
    "games.base": "Game",
    "games.cgan": "CGAN",
    "games.cgan_single": "ConditionalGAN",
    "games.cyclegan": "CycleGAN",
    "games.feature_matching": "FeatureMatching",
    "games.gan": "GAN",
    "games.infogan": "InfoGAN",
    "games.pix2pix": "Pix2Pix",
    "games.vae": "VAE",
    "games.vae_gan": "VAEGAN",
    "loggers": "CSVLog History",
    "losses.base": "Loss",
    "losses.began": "BEGAN",
    "losses.ebgan": "EBGAN",
    "losses.exponential": "Exponential",
    "losses.f_gan": "FGAN",
    "losses.fisher": "Fisher",
    "losses.hinge": "Hinge",
    "losses.least_squares": "LeastSquares",
    "losses.logistic": "Minimax NonSaturating",
    "losses.loss_sensitive": "LossSensitive",
    "losses.relativistic": "RelativisticAverage RelativisticAverageHinge RelativisticAverageLeastSquares "
    "RelativisticPaired",
    "losses.wasserstein": "Wasserstein",
    "module": "GANModule",
    "networks.augment": "ADAugment AugmentedCritic DiffAugment",
    "networks.autoencoder": "AutoEncoder",
    "networks.conditions": "BagOfWords ClassCondition ImageCondition RecurrentText VectorCondition",
    "networks.dcgan": "DCGANDiscriminator DCGANGenerator",
    "networks.encoders": "DCGANEncoder MLPEncoder",
    "networks.mlp": "MLPDiscriminator MLPGenerator",
    "networks.patchgan": "PatchGAN",
    "networks.r3gan": "R3GANDiscriminator R3GANGenerator",
    "networks.resnet": "ResNetDiscriminator ResNetGenerator",
    "networks.translators": "ResNetTranslator UNetTranslator",
    "pictures": "picture",
    "regularizers.ada": "AdaptiveAugmentation",
    "regularizers.base": "Regularizer",
    "regularizers.consistency": "Consistency",
    "regularizers.dragan": "DRAGAN",
    "regularizers.fade": "Fade",
    "regularizers.gradient_penalty": "GradientPenalty",
    "regularizers.lecam": "LeCam",
    "regularizers.orthogonal": "Orthogonal",
    "regularizers.weight_clip": "WeightClip",
    "regularizers.zero_centered": "R1 R2",
    "sampling": "samples",
    "schedules": "ConstantThenLinear Cosine",
    "terms.classification": "CrossEntropy Focal",
    "terms.reconstruction": "L1 L2 SSIM Charbonnier Huber LogCosh SmoothL1",
    "types": "Batch Critique Duel",
}
_HOMES = {name: f"gan_zoo.{home}" for home, names in _PARTS.items() for name in names.split()}
__all__ = ["__version__", "load", *_HOMES]


def load(folder: str, **options: Any) -> Any:
    """The generators of an export or a run: ``gan_zoo.load(folder).sample(16, seed=0)``; `gan_zoo.runs.load_run`.

    ``hf://user/name`` is an export on the Hugging Face hub.
    """
    from gan_zoo.runs import load_run

    return load_run(folder, **options)


def __getattr__(name: str) -> Any:
    """Import a part when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gan_zoo' has no attribute {name!r}")
    part = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return part


def __dir__() -> list[str]:
    """What there is, for completion."""
    return sorted({*globals(), *_HOMES})
