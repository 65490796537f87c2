"""Looks whether the brokers can be reached, prove who they are, and let the gateway in."""

import secrets
import socket
import ssl
import time
from collections.abc import Iterator

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from feltpost_gateway.destination_config import DestinationConfig
from feltpost_gateway.doctor import Finding, Level
from feltpost_gateway.errors import CredentialError, TlsFilesError
from feltpost_gateway.event_texts import local_time
from feltpost_gateway.texts import text
from feltpost_gateway.tls import Expiry, peer_expiry

_TIMEOUT_S = 10.0
_SOON_MS = 30 * 86_400_000


def check_broker(destination: DestinationConfig) -> Iterator[Finding]:
    """Check one destination: its files, the way to it, its certificate, and the credentials.

    The last with a client id of its own, since another one would throw the running gateway out.
    """
    name = destination.name
    context: ssl.SSLContext | None = None
    if destination.tls:
        try:
            context = destination.tls_files().context()
            for expiry in _read_expiries(destination):
                yield _judge_expiry(name, expiry)
        except (TlsFilesError, OSError, ValueError) as error:
            yield Finding("tls", name, Level.FAILED, text("{reason}", reason=str(error)))
            return
    try:
        with socket.create_connection(
            (destination.host, destination.broker_port), timeout=_TIMEOUT_S
        ) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=destination.host) as connection:
                    shown = peer_expiry(connection, destination.broker)
                if shown is not None:
                    yield _judge_expiry(name, shown)
    except ssl.SSLCertVerificationError as error:
        yield Finding(
            "tls",
            name,
            Level.FAILED,
            text(
                "{broker} does not prove who it is: {reason}",
                broker=destination.broker,
                reason=error.verify_message,
            ),
            text(
                "give the file of the authority that signed its certificate as ca_file, and the"
                " name in that certificate as host"
            ),
        )
        return
    except OSError as error:
        yield Finding(
            "broker",
            name,
            Level.FAILED,
            text(
                "{broker} can't be reached: {reason}", broker=destination.broker, reason=str(error)
            ),
            text("look at host and port, at the firewall, and whether the broker runs"),
        )
        return
    if destination.accounts:
        # One connection for each account, and brokers of this kind tie the client id to it.
        reached = text("{broker} can be reached; accounts are not tried", broker=destination.broker)
        yield Finding("broker", name, Level.OK, reached)
    else:
        yield _check_login(destination, context)


def _read_expiries(destination: DestinationConfig) -> list[Expiry]:
    """Return when the certificates end, of all accounts too, after seeing that they can be used."""
    expiries: dict[Expiry, None] = {}
    for files in destination.all_tls_files:
        files.context()
        expiries |= dict.fromkeys(files.expiries())
    return list(expiries)


def _judge_expiry(name: str, expiry: Expiry) -> Finding:
    left_ms = expiry.end_ms - time.time() * 1000
    end = local_time(expiry.end_ms)
    if left_ms >= _SOON_MS:
        fine = text("{certificate} is good until {time}", certificate=expiry.what, time=end)
        return Finding("tls", name, Level.OK, fine)
    level, what = (
        (Level.FAILED, text("{certificate} ended on {time}", certificate=expiry.what, time=end))
        if left_ms < 0
        else (
            Level.WARNING,
            text("{certificate} ends on {time}", certificate=expiry.what, time=end),
        )
    )
    return Finding(
        "tls", name, level, what, text("renew it; the gateway takes up new files itself")
    )


def _check_login(destination: DestinationConfig, context: ssl.SSLContext | None) -> Finding:
    name = destination.name
    answer: list[ReasonCode] = []

    def connected(
        client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        answer.append(reason)
        client.disconnect()

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=f"feltpost-doctor-{secrets.token_hex(4)}",
        protocol=paho.MQTTv5 if destination.protocol == "5" else paho.MQTTv311,
        reconnect_on_failure=False,
    )
    client.on_connect = connected
    client.connect_timeout = _TIMEOUT_S
    if destination.username is not None:
        try:
            client.username_pw_set(destination.username, destination.read_password())
        except CredentialError as error:
            return Finding("login", name, Level.FAILED, text("{reason}", reason=str(error)))
    if context is not None:
        client.tls_set_context(context)
    try:
        client.connect(destination.host, destination.broker_port)
        until_s = time.monotonic() + _TIMEOUT_S
        while not answer and time.monotonic() < until_s:
            if client.loop(timeout=1.0) != paho.MQTT_ERR_SUCCESS:
                break
    except OSError as error:
        return _no_mqtt(destination, str(error))
    if not answer:
        return _no_mqtt(destination, str(text("no answer to the MQTT connect")))
    if answer[0].is_failure:
        refused_for = {
            ReasonCode(PacketTypes.CONNACK, aName=refusal).value
            for refusal in ("Bad user name or password", "Not authorized")
        }
        advice = (
            text("look at username and password, and at the broker's rules for this client")
            if answer[0].value in refused_for
            else text("look into the broker's log")
        )
        refused = text(
            "{broker} refuses the login: {reason}",
            broker=destination.broker,
            reason=str(answer[0]),
        )
        return Finding("login", name, Level.FAILED, refused, advice)
    return Finding("login", name, Level.OK, text("{broker} lets in", broker=destination.broker))


def _no_mqtt(destination: DestinationConfig, reason: str) -> Finding:
    return Finding(
        "login",
        destination.name,
        Level.FAILED,
        text("{broker} does not speak MQTT: {reason}", broker=destination.broker, reason=reason),
        text("look at port, tls and protocol of the destination"),
    )
