"""Data: sets of samples, loaders that deal them out in batches, and five sets of images."""

from minigrad.data.dataset import Dataset, Subset, TensorDataset, random_split
from minigrad.data.files import DataError
from minigrad.data.loader import DataLoader
from minigrad.data.sets import cifar10, digits, fashion_mnist, image_folder, mnist

__all__ = [
    "DataError",
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "cifar10",
    "digits",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "random_split",
]
