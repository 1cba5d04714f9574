"""Wheels of a lock → layers: deterministic tars, compressed. Enter by ``layers.LayerBuilder``.

* Which wheels share a layer is a pure function of the lock; the same layer has the same bytes everywhere.

In reading order: ``layers``, ``layer_files``, ``bytecode``, ``packing``.
"""
