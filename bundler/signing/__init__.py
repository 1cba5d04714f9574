"""Image + private key → a signature beside it. Enter by ``signatures.sign``.

* Here signatures are made and attached; that anything is verified is the runtime's work, here as at boot.

In reading order: ``signatures``, ``private_keys``, ``referrers``.
"""
