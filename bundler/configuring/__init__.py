"""``bundle.toml`` or ``[tool.bundle]`` → what the options of a command shall be. Enter by ``configurations.read``.

* It knows no command: which keys there are, and what each may say, it is given (``keys.Key``).
* Every table of a file is checked, also those that nobody has asked for. An error names file and key.
* Paths are relative to the file. URLs may hold credentials: what is shown of them is redacted.

In reading order: ``files``, ``keys``, ``configurations``.
"""
