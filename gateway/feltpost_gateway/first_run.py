"""What a first gateway is told: its configuration written, its password put away, its service run.

The password goes where systemd looks for credentials, so that the configuration has no secret.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from feltpost_gateway import config as configuration
from feltpost_gateway import credentials
from feltpost_gateway.config import Config
from feltpost_gateway.errors import ServiceError
from feltpost_gateway.texts import text
from feltpost_gateway.whole_file import replacing

SERVICE = "feltpost-gateway.service"
STORE = Path("/var/lib/feltpost/feltpost.db")
CREDENTIAL = "feltpost.broker-password"
CA_FILE = "broker-ca.pem"

_MODE_CONFIGURATION = 0o644
_MODE_SECRET = 0o600


@dataclass(frozen=True)
class Answers:
    """What the operator said; `port` is None for the usual one."""

    owner: str
    site: str
    host: str
    port: int | None
    tls: bool
    ca_file: Path | None
    username: str | None
    password: str | None = field(repr=False)
    serial: tuple[str, ...] = ()


def compose(answers: Answers) -> str:
    """Return the configuration file, in TOML."""
    # JSON's strings are TOML's too.
    site = f"{answers.owner}-{answers.site}"
    lines = [
        "# Written by feltpost-gateway setup; /usr/share/doc/feltpost-gateway tells of more keys.",
        "",
        "[store]",
        f"path = {json.dumps(str(STORE))}",
        "",
        "[udp]",
    ]
    for port in answers.serial:
        lines += ["", "[[serial]]", f"port = {_string(port)}"]
    lines += ["", "[broker]", f"host = {_string(answers.host)}"]
    if answers.port is not None:
        lines.append(f"port = {answers.port}")
    lines.append(f"tls = {json.dumps(answers.tls)}")
    if answers.ca_file is not None:
        lines.append(f"ca_file = {_string(str(answers.ca_file))}")
    if answers.username is not None:
        lines.append(f"username = {_string(answers.username)}")
    if answers.password is not None:
        lines.append(f'password_file = "%d/{CREDENTIAL}"')
    # A broker throws out the first of two clients with one id, and many computers have one name.
    lines.append(f"client_id = {_string(f'feltpost-{site}')}")
    return "\n".join(lines) + "\n"


def check(answers: Answers) -> Config:
    """Return the configuration as the gateway will read it; raise `ConfigError`."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "gateway.toml"
        path.write_text(compose(answers), encoding="utf-8")
        return configuration.load(path)


def save(answers: Answers, path: Path) -> Path | None:
    """Write the configuration, the password, and a copy of the authority's certificate.

    The service can't look into the home directory that the certificate may be in.
    Return where the configuration is kept that was there before, None where there was none.
    """
    if answers.password is not None:
        store = credentials.CREDENTIAL_STORE
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(store / CREDENTIAL, _MODE_SECRET) as file:
            file.write(f"{answers.password}\n".encode())
    before = None
    if path.exists():
        before = path.with_name(f"{path.name}.before-setup")
        with replacing(before, path.stat().st_mode & 0o777) as file:
            file.write(path.read_bytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    if answers.ca_file is not None:
        authority = answers.ca_file.read_bytes()
        answers = replace(answers, ca_file=path.with_name(CA_FILE))
        with replacing(path.with_name(CA_FILE), _MODE_CONFIGURATION) as file:
            file.write(authority)
    with replacing(path, _MODE_CONFIGURATION) as file:
        file.write(compose(answers).encode())
    return before


def start() -> None:
    """Have systemd start the service now and at each boot; raise `ServiceError`."""
    for action in ("enable", "restart"):
        try:
            done = subprocess.run(
                ["systemctl", action, SERVICE], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise ServiceError(
                str(text("systemd does not run here: {reason}", reason=str(error.strerror)))
            ) from error
        if done.returncode != 0:
            raise ServiceError(
                str(
                    text(
                        "systemctl {action} failed: {reason} See: journalctl -u {service}",
                        action=action,
                        reason=done.stderr.strip().splitlines()[0] if done.stderr.strip() else "",
                        service=SERVICE,
                    )
                )
            )


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
