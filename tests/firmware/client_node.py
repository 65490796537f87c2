"""Runs on MicroPython: the node's CoAP client, which does the requests that its input asks for.

Arguments: port, key id (hex), key (hex), first sequence number. Each line of input is a request in
JSON; each line of output is what became of it.
"""

import asyncio
import json
import sys
from binascii import hexlify, unhexlify

from feltpost.client import Client, NoAnswer
from feltpost.link_udp import UdpLink
from feltpost.oscore import Context

# Short, so that a lost datagram costs a test little.
_ACK_TIMEOUT_MS = 250
_MAX_RETRANSMIT = 3


class Sequence:
    def __init__(self, number):
        self._number = number

    def next(self):
        self._number += 1
        return self._number - 1


async def answer(client, request):
    payload = unhexlify(request["payload"])
    try:
        response = await client.request(
            request["code"], request["path"], request["format"], payload
        )
    except (NoAnswer, OSError) as error:
        return {"failed": type(error).__name__, "text": str(error)}
    return {
        "code": response.code,
        "payload": hexlify(response.payload).decode(),
        "format": response.content_format,
        "max_age_s": response.max_age_s,
        "protected": response.protected,
    }


async def main():
    port, key_id, key, sequence = sys.argv[1:]
    context = Context(unhexlify(key), unhexlify(key_id), b"", Sequence(int(sequence)))
    link = UdpLink(None, "", "", "127.0.0.1", int(port))
    client = Client(link, context, ack_timeout_ms=_ACK_TIMEOUT_MS, max_retransmit=_MAX_RETRANSMIT)
    await link.connect()
    while True:
        line = sys.stdin.readline()
        if not line:
            break
        print(json.dumps(await answer(client, json.loads(line))))
    link.close()


asyncio.run(main())
