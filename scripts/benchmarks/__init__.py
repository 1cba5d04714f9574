"""bundler beside its peers: the same wheels, the same interpreter, in alternation, on this machine.

``peers`` knows how each tool creates and boots, ``workloads`` what is measured, ``results`` how it is written down,
``plot`` how it is drawn. Run it by ``scripts/bench``.
"""
