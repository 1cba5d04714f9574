"""The version of bundler. Layers in the cache are of one version: another may install differently."""

__version__ = "0.1.0"
