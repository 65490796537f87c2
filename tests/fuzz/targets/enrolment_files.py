"""Lines of enrolment files: damaged ones, and ones that somebody sealed with anything in them."""

from __future__ import annotations

import json
import random
from base64 import urlsafe_b64decode, urlsafe_b64encode

import cbor2
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from tests.fuzz import cbor_grammar
from tests.fuzz.target import Target

from feltpost_gateway import enrol_files, enrolment
from feltpost_gateway.nodes import OperatorError

_OWN = JWK(
    kty="OKP",
    crv="X25519",
    x="hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo",
    d="dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",
)
_ALGORITHMS = {"alg": "ECDH-ES", "enc": "A256GCM"}
_ENROLMENT = cbor2.dumps(
    {0: {"mac": "02:00:00:00:00:01", "name": "a", "key_id": "01", "key": "00" * 16}}
)
_LINE, _CONTENT, _HEADER = range(3)


def _part(value: bytes) -> str:
    return urlsafe_b64encode(value).decode().rstrip("=")


class EnrolmentFiles(Target):
    """The first byte says what the rest is: a line as it stands; what is sealed in a line; or the
    header of one that is right otherwise.
    """

    refusals = (OperatorError,)
    traced = ("feltpost_gateway.enrol_files", "feltpost_gateway.enrolment")
    tokens = (
        b"\xc5\x82\x1a\x7f\xff\xff\xff\x01",
        b"\xc4\x82",
        b"\xd8\x1e\x82",
        b"[[[[",
        b'"zip":"DEF"',
    )
    executions = 150

    def generate(self, rng: random.Random) -> bytes:
        content = [1_790_000_000_000, _ENROLMENT]
        return bytes((_CONTENT,)) + cbor_grammar.encode(rng, content, rng.choice((0, 0.1, 0.5, 1)))

    def run(self, data: bytes) -> None:
        kind = data[0] if data else _LINE
        line = data[1:].decode("latin-1")
        if kind == _CONTENT:
            line = self._sealed(data[1:])
        elif kind == _HEADER:
            line = ".".join((_part(data[1:]), *self._sealed(b"").split(".")[1:]))
        found = enrol_files.open_line(line, _OWN)
        assert found.written_ms >= 0
        again = enrolment.encode(found.enrolment)
        assert enrolment.encode(enrolment.decode(again)) == again

    def _sealed(self, content: bytes) -> str:
        header = {**_ALGORITHMS, "kid": _OWN.thumbprint(), "gateway": "fuzz"}
        token = JWE(content, json.dumps(header), algs=list(_ALGORITHMS.values()))
        token.add_recipient(JWK(**_OWN.export_public(as_dict=True)))
        sealed: str = token.serialize(compact=True)
        assert urlsafe_b64decode(sealed.partition(".")[0] + "==")
        return sealed
