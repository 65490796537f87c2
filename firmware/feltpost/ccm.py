"""AES-CCM-16-64-128 (RFC 9053 section 4.2) on cryptolib, which has only ECB and CBC.

The tag of CCM is the last block of a CBC pass with a zero initialisation vector, and its key
stream is one ECB pass over counter blocks: two calls per message, and one XOR of big integers.
"""

import struct

from cryptolib import aes
from micropython import const

NONCE_BYTES = const(13)
TAG_BYTES = const(8)

_BLOCK = const(16)
_PIECE = const(192)
_MODE_ECB = const(1)
_MODE_CBC = const(2)

# RFC 3610 section 2.2: an 8-byte tag, a 2-byte length; and whether there is associated data.
_FLAGS = const(0x19)
_FLAG_ASSOCIATED = const(0x40)
_COUNTER_FLAGS = const(0x01)

# With the length field before it and the padding after it: more than any OSCORE header needs.
_MOST_ASSOCIATED = const(64)


class CCM:
    """One key. Works in place, on memoryviews, with at most ``size`` bytes of plaintext.

    beside: another CCM of the same size, whose room to work in this one uses too.
    """

    def __init__(self, key, size, beside=None):
        self._ecb = aes(key, _MODE_ECB)
        self._cbc = aes(key, _MODE_CBC, bytes(_BLOCK))
        # The last block that the CBC object has put out: it is the vector of its next pass.
        self._chained = bytearray(_BLOCK)
        self._size = size
        if beside:
            self._scratch = beside._scratch
        else:
            self._scratch = memoryview(bytearray(_BLOCK + _MOST_ASSOCIATED + size + _BLOCK))

    def seal(self, nonce, associated, buf, length):
        """Encrypt ``buf[:length]`` in place and put the tag behind it; return the new length.

        nonce: 13 bytes, never used before with this key. ValueError if buf has no room.
        """
        end = length + TAG_BYTES
        if length > self._size or end > len(buf):
            raise ValueError("CCM: message too long")
        tag = self._tag(nonce, associated, buf, length)
        stream = self._stream(nonce, length)
        _xor(buf, stream, length)
        for i in range(TAG_BYTES):
            buf[length + i] = tag[i] ^ stream[i]
        return end

    def open(self, nonce, associated, buf, length):
        """Check and decrypt ``buf[:length]`` in place; return the plaintext's length.

        ValueError if the tag is not right; the buffer then holds nothing of use.
        """
        end = length - TAG_BYTES
        if not 0 <= end <= self._size:
            raise ValueError("CCM: message too short or too long")
        stream = self._stream(nonce, end)
        _xor(buf, stream, end)
        for i in range(TAG_BYTES):
            buf[end + i] ^= stream[i]
        tag = self._tag(nonce, associated, buf, end)
        different = 0
        # Every byte is looked at, so that the time taken tells nothing about where they differ.
        for i in range(TAG_BYTES):
            different |= tag[i] ^ buf[end + i]
        if different:
            raise ValueError("CCM: wrong tag")
        return end

    def _tag(self, nonce, associated, buf, length):
        # Return the block whose first bytes are the tag; the next call overwrites it.
        scratch = self._scratch
        scratch[0] = _FLAGS | (_FLAG_ASSOCIATED if associated else 0)
        scratch[1:14] = nonce
        struct.pack_into(">H", scratch, 14, length)
        end = _BLOCK
        if associated:
            if len(associated) > _MOST_ASSOCIATED - 2:
                raise ValueError("CCM: too much associated data")
            struct.pack_into(">H", scratch, end, len(associated))
            end = self._append(end + 2, associated)
        if length:
            end = self._append(end, buf[:length])
        # The CBC object goes on from the block it put out last, and a new one costs a key schedule
        # and half a kilobyte: the first block undoes that instead. From the pass to the copy
        # nothing is allocated, so running out of memory can't leave the two apart.
        chained = self._chained
        for i in range(_BLOCK):
            scratch[i] ^= chained[i]
        blocks = scratch[:end]
        end -= _BLOCK
        self._cbc.encrypt(blocks, blocks)
        for i in range(_BLOCK):
            chained[i] = scratch[end + i]
        return chained

    def _append(self, pos, data):
        # Put data into the scratch buffer, filled up with zeros to a whole block.
        scratch = self._scratch
        end = pos + len(data)
        scratch[pos:end] = data
        while end % _BLOCK:
            scratch[end] = 0
            end += 1
        return end

    def _stream(self, nonce, length):
        # The key stream: one block for the tag, then what the message needs.
        count = 1 + (length + _BLOCK - 1) // _BLOCK
        end = count * _BLOCK
        stream = self._scratch[:end]
        stream[0] = _COUNTER_FLAGS
        stream[1:14] = nonce
        stream[14] = 0
        # The rest are copies, twice as many each time: nothing as long as the message is allocated.
        filled = _BLOCK
        while filled < end:
            more = min(filled, end - filled)
            stream[filled : filled + more] = stream[:more]
            filled += more
        # One byte counts the blocks of any message that a datagram carries.
        for i in range(count):
            stream[i * _BLOCK + 15] = i
        self._ecb.encrypt(stream, stream)
        return stream


def _xor(buf, stream, length):
    # XOR the start of buf with the key stream behind the tag's block; in pieces, as each takes
    # numbers of its length from a heap that may have no long ones left.
    for start in range(0, length, _PIECE):
        end = min(start + _PIECE, length)
        part = buf[start:end]
        value = int.from_bytes(part, "little")
        value ^= int.from_bytes(stream[_BLOCK + start : _BLOCK + end], "little")
        part[:] = value.to_bytes(end - start, "little")
