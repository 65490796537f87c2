"""The command ``feltpost``: for technicians and developers."""

import typer

from feltpost_tools import (
    audit_cli,
    board_doctor_cli,
    boards_cli,
    config_cli,
    factory_reset_cli,
    flash_cli,
    monitor_cli,
    selftest_cli,
)
from feltpost_tools.demo import cli as demo_cli
from feltpost_tools.labels import cli as label_cli
from feltpost_tools.language import _
from feltpost_tools.language_option import LanguageOption

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback(
    help=_("Feltpost: sensor readings from ESP32 nodes to an MQTT broker, none lost on the way.")
)
def main(lang: LanguageOption = None) -> None:
    """Take the option that all commands have, before the command's name as well."""


# In the order in which a technician needs them.
for _command in (
    boards_cli,
    flash_cli,
    label_cli,
    selftest_cli,
    monitor_cli,
    board_doctor_cli,
    config_cli,
    factory_reset_cli,
    audit_cli,
    demo_cli,
):
    _command.register(app)
