"""The command that sends a first email, quoted for the shell that it is pasted into."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

_RECIPIENT = "success@simulator.amazonses.com"


def first_email(
    *, bus: str, region: str, profile: str | None, data: Mapping[str, Any], windows: bool = os.name == "nt"
) -> str:
    detail = {"to": _RECIPIENT, "templateName": "welcome", "templateData": data}
    entry = {
        "EventBusName": bus,
        "Source": "first-email",
        "DetailType": "Email Request",
        "Detail": json.dumps(detail),
    }
    command = ["aws", "events", "put-events", "--region", region]
    if profile:
        command += ["--profile", profile]
    command += ["--entries", json.dumps([entry])]
    # The Command Prompt quotes as C programs do. PowerShell has its own way, which changed between versions.
    return subprocess.list2cmdline(command) if windows else shlex.join(command)
