"""Optimizers, learning-rate schedules and limits for gradients, in PyTorch's names."""

from minigrad.optim import lr_scheduler
from minigrad.optim.clip import clip_grad_norm_, clip_grad_value_
from minigrad.optim.optimizers import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
]
