"""Image + private key → a signature beside it. Enter by ``signatures.sign``.

* Signatures are made and attached here. Only the runtime verifies them, for the builder as well as at boot.

In reading order: ``signatures``, ``private_keys``, ``referrers``.
"""
