"""The generative adversarial network.
"""

from __future__ import annotations

import minigrad.nn.functional as F
from minigrad.tensor import Tensor
from models.architecture import Architecture
from models.rivals import RivalTraining, rivals


class GANTraining(RivalTraining):
    """The discriminator minimises the cross-entropy of real against fake."""

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        if self.settings.loss == "minimax":
            return -F.softplus(fake).mean()
        return F.softplus(-fake).mean()


_IMAGES: dict[str, int | float | str] = {
    "network": "dcgan",
    "loss": "non_saturating",
    "epochs": 20,
    "batch_size": 64,
    "lr": 2e-4,
    "code": 64,
    "width": 32,
}

ARCHITECTURE = Architecture(
    title="GAN",
    paper="Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville & Bengio 2014, "
    "Generative adversarial nets",
    reference="at the optimum the discriminator says ½ and its value is −log 4",
    settings={"digits": _IMAGES, "mnist": _IMAGES},
    meaning={
        "network": "dense layers, or convolutions as in DCGAN",
        "loss": "of the generator: log(1 − D(G(z))) or −log D(G(z))",
        "code": "numbers of noise that make a sample",
        "width": "maps of the first convolution of the discriminator",
    },
    choices={"network": ("dense", "dcgan"), "loss": ("minimax", "non_saturating")},
    cost={"digits": "1 min", "mnist": "20 min"},
    build=rivals,
    training=GANTraining,
)
