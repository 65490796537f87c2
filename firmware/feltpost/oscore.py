"""OSCORE (RFC 8613) for one peer: AES-CCM-16-64-128, HKDF-SHA-256.

A Context derives the keys and protects what a client sends and receives. Which request an answer
belongs to is part of what is authenticated: an answer to another request does not open.
"""

from micropython import const

from . import cbor, ccm

_MOST_ID_BYTES = const(7)
_MOST_PIV_BYTES = const(5)
# RFC 8613 section 5.4: the Enc_structure, ["Encrypt0", h'', external_aad], up to the last, which is
# a byte string that holds [1, [10], kid, Partial IV, h'']: version, algorithm; no option is of
# class I.
_STRUCTURE_START = b"\x83\x68Encrypt0\x40"
_EXTERNAL_START = b"\x85\x01\x81\x0a"
# The external_aad without the contents of kid and Partial IV.
_EXTERNAL_BYTES = const(7)

# The OSCORE option's first byte, RFC 8613 section 6.1.
_FLAG_KID = const(0x08)
_FLAG_KID_CONTEXT = const(0x10)
_FLAGS_RESERVED = const(0xE0)
_PIV_LENGTH = const(0x07)


class Request:
    """What binds an answer to its request.

    kid, piv: as in the OSCORE option; nonce: what they make; associated: the data that request and
    answer authenticate beside their plaintexts.
    """

    def __init__(self, kid, piv, nonce, associated):
        self.kid = kid
        self.piv = piv
        self.nonce = nonce
        self.associated = associated


class Context:
    """The keys that two parties share, from the side whose id is ``sender_id``.

    sequence: has next(), which returns a number never used with this key; None for a side that
    sends no requests. size: the longest plaintext in bytes. ValueError for impossible parameters.
    """

    def __init__(
        self,
        master_secret,
        sender_id,
        recipient_id,
        sequence=None,
        master_salt=b"",
        id_context=None,
        size=1024,
    ):
        if max(len(sender_id), len(recipient_id)) > _MOST_ID_BYTES or sender_id == recipient_id:
            raise ValueError("OSCORE: ids must differ and have at most 7 bytes")
        self._sender_id = bytes(sender_id)
        self._recipient_id = bytes(recipient_id)
        self._id_context = id_context
        self._sequence = sequence
        from .oscore_keys import Keys

        keys = Keys(master_secret, master_salt, id_context)
        self._sender_iv = keys.iv(self._sender_id)
        self._recipient_iv = keys.iv(self._recipient_id)
        self._sender = ccm.CCM(keys.key(sender_id), size)
        self._recipient = ccm.CCM(keys.key(recipient_id), size, self._sender)
        self._structure = cbor.Encoder(bytearray(48))

    def request(self):
        """Take the next sequence number for a request; return the Request."""
        number = self._sequence.next()
        length = 1
        while number >> (8 * length):
            length += 1
        if length > _MOST_PIV_BYTES:
            raise ValueError("OSCORE: sequence numbers used up")
        piv = number.to_bytes(length, "big")
        return self.bind(self._sender_id, piv)

    def bind(self, kid, piv):
        """Return the Request that came, or goes out, with that kid and Partial IV."""
        iv = self._sender_iv if kid == self._sender_id else self._recipient_iv
        structure = self._structure
        structure.pos = 0
        structure.encoded(_STRUCTURE_START)
        structure.bytes_head(_EXTERNAL_BYTES + len(kid) + len(piv))
        structure.encoded(_EXTERNAL_START)
        structure.bytes(kid)
        structure.bytes(piv)
        structure.bytes(b"")
        return Request(kid, piv, _nonce(iv, piv), bytes(structure.view()))

    def option(self, request):
        """Return the value of a request's OSCORE option."""
        flags = _FLAG_KID | len(request.piv)
        if self._id_context is None:
            # One object on the heap instead of four, for each request.
            return b"%c%s%s" % (flags, request.piv, request.kid)
        context = bytes((len(self._id_context),)) + self._id_context
        return bytes((flags | _FLAG_KID_CONTEXT,)) + request.piv + context + request.kid

    def seal(self, request, buf, length, piv=b""):
        """Encrypt the plaintext at the start of ``buf``, a memoryview, in place; return the
        ciphertext's length.

        piv: an answer's own Partial IV; without one the request's nonce is used (section 5.2).
        ValueError if ``buf`` has no room for the tag.
        """
        nonce = _nonce(self._sender_iv, piv) if piv else request.nonce
        return self._sender.seal(nonce, request.associated, buf, length)

    def open(self, request, option, buf):
        """Decrypt ``buf``, a memoryview of an answer to ``request``, in place; return its length.

        option: the value of the answer's OSCORE option. ValueError if it is malformed, or if this
        is not an authentic answer to this request.
        """
        piv = self._answer_piv(option)
        nonce = _nonce(self._recipient_iv, piv) if piv else request.nonce
        return self._recipient.open(nonce, request.associated, buf, len(buf))

    def _answer_piv(self, option):
        # The Partial IV of an answer, empty where it has none.
        if not option:
            return b""
        flags = option[0]
        length = flags & _PIV_LENGTH
        end = 1 + length
        if flags & _FLAGS_RESERVED or length > _MOST_PIV_BYTES or end > len(option) or not flags:
            raise ValueError("OSCORE: bad option")
        piv = bytes(option[1:end])
        if flags & _FLAG_KID_CONTEXT:
            if end == len(option):
                raise ValueError("OSCORE: bad option")
            end += 1 + option[end]
        if flags & _FLAG_KID:
            if end > len(option) or bytes(option[end:]) != self._recipient_id:
                raise ValueError("OSCORE: another party's answer")
        elif end != len(option):
            raise ValueError("OSCORE: bad option")
        return piv


def _nonce(iv, piv):
    nonce = bytearray(iv)
    start = ccm.NONCE_BYTES - len(piv)
    for i in range(len(piv)):
        nonce[start + i] ^= piv[i]
    return nonce
