"""The boot report: what was done with a bundle, and why, as one line of JSON in a file.

Failed deployments often show no log, so a file tells it, too. A report that cannot be written stops nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Dict


def write_report(path: str, report: Dict[str, Any]) -> None:
    """Write *report* to *path*, which appears complete; say so on standard error if that is impossible."""
    report.setdefault("time", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(json.dumps(report, sort_keys=True) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        sys.stderr.write(f"warning: {path}: the report cannot be written: {error.strerror}\n")
