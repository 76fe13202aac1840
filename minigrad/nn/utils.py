"""What training needs beside layers: limits for gradients."""

from minigrad.optim.clip import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_"]
