"""The command line, and every failure as a sentence instead of a traceback."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from installer.account import connect
from installer.commands import Installer
from installer.errors import InstallError, aws_errors
from installer.parameters import FLAGS, listing
from installer.preflight import check_stack_name
from installer.release import read_release
from installer.screen import Screen

_PACKAGE = Path(__file__).resolve().parent.parent
_INTERRUPTED = 130


def main(arguments: Sequence[str], *, folder: Path = _PACKAGE, out: TextIO | None = None) -> int:
    """The exit code: 0 when done, 1 when something has to be solved first, 130 after Ctrl-C."""
    options = _options(arguments)
    if out is None:
        out = sys.stdout
        if isinstance(out, io.TextIOWrapper):
            out.reconfigure(errors="replace")  # a reason may have letters that the console has not
    can_ask = sys.stdin.isatty() and not options.yes
    screen = Screen(out, input if can_ask else None, agreed=options.yes)
    try:
        with aws_errors("talking to AWS"):
            _run(options, screen, folder)
    except InstallError as error:
        return _failed(screen, error)
    except (KeyboardInterrupt, EOFError):
        screen.heading("Interrupted. What CloudFormation has begun goes on without this program:")
        screen.line("its console shows how it ends. Run the same command again afterwards.")
        return _INTERRUPTED
    except Exception as error:  # a person can do nothing with a traceback
        if options.debug:
            raise
        what = f"this is a mistake in the installer: {type(error).__name__}: {error}"
        return _failed(screen, InstallError(what, "Run it with --debug as well, and report what it prints."))
    return 0


def _failed(screen: Screen, error: InstallError) -> int:
    screen.heading(f"FAILED: {error.message}")
    screen.line(f"-> {error.remedy}")
    return 1


def _run(options: argparse.Namespace, screen: Screen, folder: Path) -> None:
    release = read_release(folder)
    if options.show_parameters:
        for text in listing(release):
            screen.line(text)
        return
    check_stack_name(options.stack_name)
    given = {name: value for name in FLAGS if (value := getattr(options, name)) is not None}
    for pair in options.parameter:
        name, equals, value = pair.partition("=")
        if not equals:
            raise InstallError(f"--parameter {pair} has no value.", "Write it as --parameter Name=value.")
        given[name] = value
    account = connect(
        options.profile, options.region, lambda: screen.ask("Region, such as eu-west-1", "--region")
    )
    installer = Installer(
        account, release, screen, options.stack_name, profile=options.profile, dry_run=options.dry_run
    )
    if options.uninstall:
        installer.uninstall(delete_data=options.delete_data)
    elif options.upgrade:
        installer.upgrade(given)
    else:
        installer.install(given)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python install.py",
        description="Install SESMailEngine into your AWS account. What is not given is asked for.",
        epilog="docs/install.md says more, with what each failure means.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--upgrade", action="store_true", help="bring an installed stack to this version")
    what.add_argument("--uninstall", action="store_true", help="remove the stack; the data stays")
    what.add_argument("--show-parameters", action="store_true", help="list every parameter, and stop")
    parser.add_argument("--stack-name", default="sesmailengine", help="default: %(default)s")
    parser.add_argument("--region", help="default: that of the AWS configuration")
    parser.add_argument("--profile", help="profile of the AWS configuration")
    for name, (flag, meaning) in FLAGS.items():
        parser.add_argument(flag, dest=name, metavar=name, help=meaning)
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="any other; can be repeated"
    )
    parser.add_argument(
        "--delete-data", action="store_true", help="with --uninstall: tables, bucket, queues too"
    )
    parser.add_argument("--dry-run", action="store_true", help="look at everything, change nothing")
    parser.add_argument("--yes", action="store_true", help="ask nothing, agree to everything: for scripts")
    parser.add_argument("--debug", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.delete_data and not options.uninstall:
        parser.error("--delete-data goes with --uninstall")
    return options
