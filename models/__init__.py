"""Every classic neural architecture, one module each, which tells the whole model.

A module states where the model comes from and its equations, defines the network, its step, its
evaluation and its pictures, and ends in an `ARCHITECTURE`, by which the commands find it. What all
models share stands beside them: `architecture` (what a module must define), `data`, `training` (the
loop), `run` (the folder a run leaves behind) and `pictures`.

    python -m models list
    python -m models train lenet --dataset digits
"""
