"""Wheels of a lock → layers: deterministic tars, compressed. Enter by ``layer_builder.LayerBuilder``.

* Which wheels share a layer is a pure function of the lock; the same layer has the same bytes everywhere.

In reading order: ``layer_plans``, ``layer_builder``, ``layer_files``, ``conflicts``, ``twins``,
``bytecode``, ``packing``.
"""
