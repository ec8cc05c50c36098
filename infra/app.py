"""Run by the CDK CLI: `python -m infra.app`."""

import sys
from dataclasses import fields
from typing import Any

from aws_cdk import App, CliCredentialsStackSynthesizer

from infra.bundling import Bundles
from infra.settings import SettingsError, StackSettings, context_key
from infra.stack import EmailEngineStack


def context_of(app: App) -> dict[str, Any]:
    keys = (context_key(field.name) for field in fields(StackSettings))
    return {key: app.node.try_get_context(key) for key in keys}


def main() -> None:
    app = App()
    try:
        settings = StackSettings.from_context(context_of(app))
    except SettingsError as error:
        sys.exit(str(error))
    # The emulator needs no bootstrap: CDK acts there with the caller's own credentials.
    synthesizer = CliCredentialsStackSynthesizer() if settings.target == "local" else None
    EmailEngineStack(
        app,
        "SESMailEngine",
        settings=settings,
        bundles=Bundles.build(settings.target),
        synthesizer=synthesizer,
    )
    app.synth()


if __name__ == "__main__":
    main()
