"""`feltpost-gateway backup` and `restore`: a gateway saved, and set up again elsewhere."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from feltpost_gateway import backup as backups
from feltpost_gateway import config as configuration
from feltpost_gateway.backup import Restoring, is_sealed
from feltpost_gateway.cli_common import ConfigFile, errors_shown, load
from feltpost_gateway.clock import SystemClock
from feltpost_gateway.event_texts import local_time
from feltpost_gateway.texts import text, translate
from feltpost_gateway.whole_file import replacing

_MODE_BACKUP = 0o600

PassphraseFile = Annotated[
    Path | None,
    typer.Option(help=translate("A file with the passphrase, instead of being asked for it.")),
]


def backup(
    config: ConfigFile,
    file: Annotated[Path, typer.Argument(help=translate("Where to."))],
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help=translate("Encrypt it under a passphrase."))
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Save the store, its keys and the configuration to a file, also while the gateway runs."""
    loaded = load(config)
    with errors_shown():
        passphrase = None
        if encrypt or passphrase_file is not None:
            passphrase = _passphrase(passphrase_file, confirm=True)
        with replacing(file, _MODE_BACKUP) as target:
            backups.write(loaded, config, target, SystemClock().now_ms(), passphrase)
    size_mib = -(-file.stat().st_size >> 20)
    typer.echo(text("{file}: {size} MiB", file=str(file), size=size_mib))
    if passphrase is None:
        typer.echo(translate("It holds the keys of all nodes: keep it as safe as those"), err=True)


def restore(
    config: ConfigFile,
    file: Annotated[Path, typer.Argument(help=translate("A backup."))],
    replace: Annotated[
        bool, typer.Option("--replace", help=translate("Move the store that is here aside."))
    ] = False,
    keep_config: Annotated[
        bool,
        typer.Option(
            "--keep-config", help=translate("Keep the configuration that is here, not the saved.")
        ),
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Go on from a backup; the gateway that it was made on must never run again."""
    with errors_shown(), file.open("rb") as source:
        passphrase = _passphrase(passphrase_file, confirm=False) if is_sealed(source) else None
        restoring = Restoring(source, passphrase)
        if not keep_config:
            _put_configuration(config, restoring.configuration)
        store = configuration.load(config).store.path
        aside = restoring.put_in_place(store, replace=replace)
    typer.echo(
        text(
            "{file} is as it was on {time}. Start the gateway: sudo systemctl restart"
            " feltpost-gateway",
            file=str(store),
            time=local_time(restoring.about.made_ms),
        )
    )
    if aside is not None:
        typer.echo(text("the store that was here is {file} now", file=str(aside)))
    typer.echo(
        translate(
            "What was received since then counts as missing here. Keys that were given or taken"
            " away since then are not or are valid again: look through nodes list"
        )
    )


def _put_configuration(path: Path, content: bytes) -> None:
    """Write the saved configuration, and keep the one that is there beside it."""
    mode = 0o600
    if path.exists():
        mode = path.stat().st_mode & 0o777
        before = path.with_name(f"{path.name}.before-restore")
        with replacing(before, mode) as file:
            file.write(path.read_bytes())
    with replacing(path, mode) as file:
        file.write(content)


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    asked: str = typer.prompt(
        translate("Passphrase"),
        hide_input=True,
        confirmation_prompt=translate("Once more") if confirm else False,
        err=not sys.stdout.isatty(),
    )
    return asked
