"""One file a library: how it does each workload of `benchmarks.workloads`.

A module has a `NAME`, ``prepare(threads)``, called once before anything is measured, ``version()``,
and `STEPS`, which maps the name of a workload to a function of the workload and its arrays. That
function builds the model from copies of the arrays and returns ``step()``: zero the gradients,
forward, loss, backward, update; the result is the loss, as something that ``float()`` takes. A step
has done all its work when it returns. A workload that a library cannot do in its natural style is
missing from its `STEPS`; an import that fails anywhere in a module is a note in the report.
"""
