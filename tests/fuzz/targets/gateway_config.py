"""The gateway's configuration file: taken, or refused with lines that show no value of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.target import Target

from feltpost_gateway import config, config_warnings
from feltpost_gateway.errors import ConfigError


class GatewayConfig(Target):
    refusals = (ConfigError,)
    traced = (
        "feltpost_gateway.config",
        "feltpost_gateway.config_types",
        "feltpost_gateway.config_warnings",
        "feltpost_gateway.destination_config",
        "feltpost_gateway.nodes",
    )
    tokens = (
        b"[[nodes]]\n",
        b"[[destinations]]\n",
        b"[broker]\n",
        b'topic = "{owner}/{node}"\n',
        b'client_id = "{"\n',
        b'password_file = "x"\n',
        b"nan",
        b"-1",
        b"9223372036854775808",
        b'""',
        b"[]",
        b"{}",
        b"true",
        b"1979-05-27",
        b"[" * 300,
    )
    suffix = ".toml"
    max_bytes = 4096
    heap_bytes = 16 << 20
    executions = 150

    @contextmanager
    def opened(self) -> Iterator[None]:
        with TemporaryDirectory() as folder:
            self._path = Path(folder, "gateway.toml")
            self._path.touch(0o600)
            yield

    def run(self, data: bytes) -> None:
        self._path.write_bytes(data)
        found = config.load(self._path)
        assert config.Config.model_validate(found.model_dump(by_alias=True)) == found
        for warned in config_warnings.find_warnings(found):
            assert str(warned)
